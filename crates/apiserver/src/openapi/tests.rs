//! What kubectl looks for in the documents.

use super::*;

fn parsed(group: &str, version: &str) -> Value {
    serde_json::from_slice(document(group, version).unwrap()).unwrap()
}

#[test]
fn every_document_is_json_without_dangling_references() {
    for (group, versions) in kinds::group_versions() {
        for version in versions {
            let text = std::str::from_utf8(document(group, version).unwrap()).unwrap();
            let document: Value = serde_json::from_str(text).unwrap();
            let schemas = document["components"]["schemas"].as_object().unwrap();
            for reference in text.split("#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(schemas.contains_key(name), "{group}/{version}: no {name}");
            }
        }
    }
    assert!(document("", "v2").is_none());
}

#[test]
fn the_index_names_each_document_with_its_hash() {
    let url = index()["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("/openapi/v3/apis/apps/v1?hash={}", etag("apps", "v1").unwrap()));
    assert_eq!(etag("", "v1").unwrap(), hash(std::str::from_utf8(document("", "v1").unwrap()).unwrap()));
}

#[test]
fn kubectl_apply_finds_patch_keys_and_field_validation() {
    let core = parsed("", "v1");
    let ports = &core["components"]["schemas"]["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["port", "protocol"]));
    assert!(ports["description"].as_str().unwrap().starts_with("The list of ports"));
    let patch = &core["paths"]["/api/v1/namespaces/{namespace}/services/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "", "version": "v1", "kind": "Service"})
    );
    assert_eq!(patch["requestBody"]["content"].as_object().unwrap().len(), 4);
    let names: Vec<&Value> = patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.contains(&&json!("fieldValidation")) && names.contains(&&json!("dryRun")));
}
