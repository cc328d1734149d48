//! The paths of a document: what clients look for in them, which is the kind of every operation, the media types of PATCH,
//! and the parameters `fieldValidation` and `dryRun`.

use super::api_path;
use super::schemas::full_name;
use crate::kinds::{KINDS, Kind};
use crate::patch;
use crate::schema::{TypeId, table};
use serde_json::{Map, Value, json};

/// Writes the `paths` object; returns the types that it speaks of.
pub(super) fn write(out: &mut String, group: &str, version: &str) -> Vec<TypeId> {
    let mut paths = Map::new();
    let mut roots = Vec::new();
    for kind in KINDS.iter().filter(|k| k.group == group && k.versions.contains(&version)) {
        let root = format!("/{}", api_path(group, version));
        let place = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{place}/{}", kind.plural);
        if kind.namespaced && kind.stored {
            let all = format!("{root}/{}", kind.plural);
            paths.insert(all, json!({"get": operation(kind, group, version, "list", "")}));
        }
        paths.insert(collection.clone(), of_collection(kind, version));
        if kind.stored {
            let object = format!("{collection}/{{name}}");
            paths.insert(object.clone(), of_object(kind, version, ""));
            for subresource in
                kind.subresources.iter().filter(|s| s.takes_objects() && s.verbs().contains(&"patch"))
            {
                paths.insert(
                    format!("{object}/{}", subresource.name()),
                    of_object(kind, version, subresource.name()),
                );
            }
        }
        let table = table();
        let lists = format!("{}List", kind.kind);
        roots.extend([kind.kind, lists.as_str()].iter().filter_map(|name| table.kind(group, version, name)));
        let bodies = kind.subresources.iter().map(|s| s.schema());
        roots.extend(bodies.filter_map(|(g, v, k)| table.kind(g, v, k)));
    }
    roots.extend(["DeleteOptions", "Status"].iter().filter_map(|name| table().kind("", "v1", name)));
    out.push_str(&Value::Object(paths).to_string());
    roots
}

fn of_collection(kind: &Kind, version: &str) -> Value {
    let mut item = json!({"post": operation(kind, kind.group, version, "post", "")});
    if kind.stored {
        item["get"] = operation(kind, kind.group, version, "list", "");
        item["delete"] = operation(kind, kind.group, version, "deletecollection", "");
    }
    item["parameters"] = parameters(&[("namespace", "path")][..usize::from(kind.namespaced)]);
    item
}

fn of_object(kind: &Kind, version: &str, subresource: &str) -> Value {
    let of = |action| operation(kind, kind.group, version, action, subresource);
    let mut item = json!({"get": of("get"), "put": of("put"), "patch": of("patch")});
    if subresource.is_empty() {
        item["delete"] = of("delete");
    }
    let names = [("name", "path"), ("namespace", "path")];
    item["parameters"] = parameters(&names[..1 + usize::from(kind.namespaced)]);
    item
}

fn operation(kind: &Kind, group: &str, version: &str, action: &str, subresource: &str) -> Value {
    let list = if action == "list" { "List" } else { "" };
    let scale = ("autoscaling", "v1", "Scale");
    let (group, version, name) = if subresource == "scale" { scale } else { (group, version, kind.kind) };
    let answer = schema(group, version, &format!("{name}{list}"));
    let mut found = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
    });
    let body = schema(group, version, name);
    match action {
        "patch" => {
            let types = patch::MEDIA_TYPES.into_iter().chain([patch::APPLY]);
            let patch = schema("", "v1", "Patch");
            let content: Map<String, Value> =
                types.map(|t| (t.to_owned(), json!({"schema": patch}))).collect();
            found["requestBody"] = json!({"content": content, "required": true});
            found["parameters"] = parameters(&[WRITE, &[("force", "query")]].concat());
        }
        "post" | "put" => {
            found["requestBody"] = json!({"content": {"*/*": {"schema": body}}, "required": true});
            found["parameters"] = parameters(WRITE);
        }
        "delete" | "deletecollection" => found["parameters"] = parameters(&[("dryRun", "query")]),
        _ => {}
    }
    found
}

/// The parameters of a write.
const WRITE: &[(&str, &str)] =
    &[("dryRun", "query"), ("fieldManager", "query"), ("fieldValidation", "query")];

fn parameters(names: &[(&str, &str)]) -> Value {
    let one = |(name, place): &(&str, &str)| match *place {
        "path" => {
            json!({"name": name, "in": place, "required": true, "schema": {"type": "string", "uniqueItems": true}})
        }
        _ if *name == "force" => {
            json!({"name": name, "in": place, "schema": {"type": "boolean", "uniqueItems": true}})
        }
        _ => json!({"name": name, "in": place, "schema": {"type": "string", "uniqueItems": true}}),
    };
    names.iter().map(one).collect()
}

fn schema(group: &str, version: &str, kind: &str) -> Value {
    let table = table();
    // A Patch is no kind of its own: any object.
    match table.kind(group, version, kind) {
        Some(id) => json!({"$ref": format!("#/components/schemas/{}", full_name(table.get(id).name))}),
        None => json!({"type": "object"}),
    }
}
