//! POST, PUT and DELETE.

use super::Request;
use super::accept::Wants;
use super::answer::{self, Response};
use super::dispatch::schema_of;
use super::list::{list_options, represent};
use super::options::{validation, writer};
use crate::ApiServer;
use crate::auth;
use crate::codec::{self, FieldValidation};
use crate::kinds::{Kind, RBAC, Subresource};
use crate::registry::{
    DeleteOptions, Deleted, Location, Registry, Tracking, apply_scale, bind, object, scale_of,
};
use crate::status::ApiError;
use crate::strategy::Part;
use serde_json::{Value, json};

/// The body as an object of the kind (or of what lies below it), and warnings about it.
pub(super) fn decoded(
    request: &Request,
    at: &Location<'_>,
    below: Option<Subresource>,
) -> Result<(Value, Vec<String>), ApiError> {
    let (group, version, kind) = schema_of(at.kind, at.version, below);
    let validation = validation(request)?;
    let decoded = codec::decode(request.content_type(), &request.body, &group, &version, &kind, validation)?;
    check_shape(&decoded.object)?;
    Ok((decoded.object, decoded.warnings))
}

/// Whatever the schema says: an object is an object, and so is its metadata.
pub(super) fn check_shape(object: &Value) -> Result<(), ApiError> {
    let metadata = &object["metadata"];
    if object.is_object() && (metadata.is_object() || metadata.is_null()) {
        return Ok(());
    }
    Err(ApiError::bad_request("the object provided is unrecognized: metadata must be an object"))
}

/// The object is the one that the URL names.
fn check_name(at: &Location<'_>, object: &Value) -> Result<(), ApiError> {
    let name = object::meta(object, "name");
    if name == at.name {
        return Ok(());
    }
    let why = format!("the name of the object ({name}) does not match the name on the URL ({})", at.name);
    Err(ApiError::bad_request(why))
}

/// Which part of the object a write below it changes.
pub(super) fn part_of(below: Option<Subresource>) -> Part {
    match below {
        None => Part::Main,
        Some(Subresource::Status) => Part::Status,
        Some(_) => Part::Other,
    }
}

impl ApiServer {
    fn answer_object(
        request: &Request,
        at: &Location<'_>,
        code: u16,
        object: Value,
        mut warnings: Vec<String>,
    ) -> Result<Response, ApiError> {
        warnings.extend(Registry::strategy(at.kind).warnings(&object));
        let object = represent(&Wants::of(&request.headers), &request.query, at.kind, object)?;
        Ok(answer::warn(answer::value(code, &object), &warnings))
    }

    pub(super) async fn create(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        Wants::of(&request.headers).form()?;
        let dry_run = request.query.dry_run()?;
        let (object, warnings) = decoded(request, at, None)?;
        self.admit(request, at, &object, None)?;
        let writer = writer(request, at, None, false)?;
        let created = self.registry.create(at, object, Tracking::Update(&writer), dry_run).await?;
        Self::answer_object(request, at, 201, created, warnings)
    }

    /// Creates the object that the URL names, for a request that would change it and found none. Before `object` is made, the
    /// user must be one who may create it.
    pub(super) async fn create_missing(
        &self,
        request: &Request,
        at: &Location<'_>,
        object: impl FnOnce() -> Result<Value, ApiError>,
        tracking: Tracking<'_>,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        self.may_create(request, at)?;
        let object = object()?;
        check_name(at, &object)?;
        self.admit(request, at, &object, None)?;
        self.registry.create(at, object, tracking, dry_run).await
    }

    /// Nobody grants what they do not have, and a node makes no other.
    pub(super) fn admit(
        &self,
        request: &Request,
        at: &Location<'_>,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let (group, plural) = (at.kind.group, at.kind.plural);
        if old.is_none() {
            let name = object::meta(new, "name");
            auth::node::check_create(&request.user, group, plural, name)
                .map_err(|why| ApiError::forbidden(group, plural, name, &why))?;
        }
        if group != RBAC || request.user.is_master() {
            return Ok(());
        }
        self.authorizer.check_escalation(&request.user, at.kind.kind, at.kind.plural, at.namespace, new, old)
    }

    pub(super) async fn put(
        &self,
        request: &Request,
        at: &Location<'_>,
        below: Option<Subresource>,
    ) -> Result<Response, ApiError> {
        Wants::of(&request.headers).form()?;
        let dry_run = request.query.dry_run()?;
        let (body, warnings) = decoded(request, at, below)?;
        let change = |old: &Value| match below {
            Some(Subresource::Scale) => apply_scale(old, &body),
            Some(Subresource::Finalize) => Ok(finalized(old, &body)),
            _ => {
                self.admit(request, at, &body, Some(old))?;
                Ok(body.clone())
            }
        };
        let writer = writer(request, at, below, false)?;
        let tracking = Tracking::Update(&writer);
        let result = self.registry.update(at, part_of(below), &change, tracking, dry_run).await;
        let (code, object) = match result {
            Err(e) if e.code == 404 && below.is_none() && at.kind.put_creates => {
                (201, self.create_missing(request, at, || Ok(body), tracking, dry_run).await?)
            }
            result => (200, result?),
        };
        Self::answer_below(request, at, below, code, object, warnings)
    }

    pub(super) fn answer_below(
        request: &Request,
        at: &Location<'_>,
        below: Option<Subresource>,
        code: u16,
        object: Value,
        warnings: Vec<String>,
    ) -> Result<Response, ApiError> {
        if below == Some(Subresource::Scale) {
            return Ok(answer::warn(answer::value(code, &scale_of(&object)), &warnings));
        }
        Self::answer_object(request, at, code, object, warnings)
    }

    pub(super) fn get_scale(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        Wants::of(&request.headers).json()?;
        Ok(answer::value(200, &scale_of(&self.registry.get(at)?)))
    }

    pub(super) async fn delete(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let form = Wants::of(&request.headers);
        form.form()?;
        let deleted = self.registry.delete(at, &delete_options(request, at)?).await?;
        let Deleted { object, gone } = deleted;
        if gone && !at.kind.delete_returns_object {
            return Ok(answer::value(200, &gone_status(at.kind, &object)));
        }
        let object = represent(&form, &request.query, at.kind, object)?;
        Ok(answer::value(200, &object))
    }

    pub(super) async fn delete_collection(
        &self,
        request: &Request,
        at: &Location<'_>,
    ) -> Result<Response, ApiError> {
        let list = list_options(request, at)?;
        let objects = self.registry.delete_collection(at, &list, &delete_options(request, at)?).await?;
        let answer = json!({"kind": format!("{}List", at.kind.kind), "apiVersion": at.kind.api_version(at.version),
            "metadata": {"resourceVersion": self.registry.store.revision().to_string()}, "items": objects});
        Ok(answer::value(200, &answer))
    }

    pub(super) async fn binding(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let (binding, warnings) = decoded(request, at, Some(Subresource::Binding))?;
        let dry_run = request.query.dry_run()?;
        let change = |pod: &Value| bind(at, pod, &binding);
        self.registry.update(at, Part::Other, &change, Tracking::None, dry_run).await?;
        Ok(answer::warn(answer::value(201, &answer::success(&Value::Null)), &warnings))
    }

    pub(super) async fn evict(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let (eviction, warnings) = decoded(request, at, Some(Subresource::Eviction))?;
        let name = eviction["metadata"]["name"].as_str().unwrap_or(at.name);
        if name != at.name {
            let why = format!("name in URL does not match name in Eviction object: {} != {name}", at.name);
            return Err(ApiError::bad_request(why));
        }
        let query = |name: &str| request.query.get(name).map(str::to_owned);
        let options = DeleteOptions::parse(&eviction["deleteOptions"], query)?;
        self.registry.delete(at, &options).await?;
        Ok(answer::warn(answer::value(201, &answer::success(&Value::Null)), &warnings))
    }
}

/// `spec.finalizers` of a namespace, as PUT …/finalize gives them; nothing else changes there.
fn finalized(old: &Value, body: &Value) -> Value {
    let mut new = old.clone();
    new["spec"]["finalizers"] = match &body["spec"]["finalizers"] {
        Value::Null => json!([]),
        list => list.clone(),
    };
    new["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"].clone();
    new
}

fn delete_options(request: &Request, at: &Location<'_>) -> Result<DeleteOptions, ApiError> {
    request.query.dry_run()?;
    let query = |name: &str| request.query.get(name).map(str::to_owned);
    if request.body.is_empty() {
        return DeleteOptions::parse(&Value::Null, query);
    }
    let (group, version) = (at.kind.group, at.version);
    let ignore = FieldValidation::Ignore;
    let body = codec::decode(request.content_type(), &request.body, group, version, "DeleteOptions", ignore)?;
    DeleteOptions::parse(&body.object, query)
}

fn gone_status(kind: &Kind, object: &Value) -> Value {
    let mut details = json!({"name": object["metadata"]["name"], "kind": kind.plural,
        "uid": object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    answer::success(&details)
}
