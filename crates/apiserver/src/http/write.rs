//! POST, PUT, PATCH and DELETE.

use super::Request;
use super::accept::Wants;
use super::answer::{self, Response};
use super::dispatch::schema_of;
use super::list::{list_options, represent};
use crate::ApiServer;
use crate::codec::{self, FieldValidation};
use crate::kinds::{Kind, Subresource};
use crate::patch;
use crate::registry::{DeleteOptions, Deleted, Location, Registry, apply_scale, bind, scale_of};
use crate::status::ApiError;
use crate::strategy::Part;
use serde_json::{Value, json};
use std::sync::Mutex;

const APPLY: &str = "application/apply-patch";

/// What to do about unknown fields; `Warn` unless the request says otherwise.
fn validation(request: &Request) -> Result<FieldValidation, ApiError> {
    match request.query.text("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        "Ignore" => Ok(FieldValidation::Ignore),
        other => {
            let why = "supported values: \"Ignore\", \"Strict\", \"Warn\"";
            let kind = crate::FieldErrorKind::NotSupported;
            let error = crate::FieldError::new(kind, "fieldValidation", &json!(other), why);
            Err(ApiError::invalid("meta.k8s.io", "CreateOptions", "", &[error]))
        }
    }
}

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
fn check_shape(object: &Value) -> Result<(), ApiError> {
    let metadata = &object["metadata"];
    if object.is_object() && (metadata.is_object() || metadata.is_null()) {
        return Ok(());
    }
    Err(ApiError::bad_request("the object provided is unrecognized: metadata must be an object"))
}

/// Which part of the object a write below it changes.
fn part_of(below: Option<Subresource>) -> Part {
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
        let created = self.registry.create(at, object, dry_run).await?;
        Self::answer_object(request, at, 201, created, warnings)
    }

    /// Nobody grants what they do not have.
    fn admit(
        &self,
        request: &Request,
        at: &Location<'_>,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        if at.kind.group != "rbac.authorization.k8s.io" || request.user.is_master() {
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
        let object = self.registry.update(at, part_of(below), &change, dry_run).await?;
        Self::answer_below(request, at, below, 200, object, warnings)
    }

    fn answer_below(
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

    pub(super) async fn patch(
        &self,
        request: &Request,
        at: &Location<'_>,
        below: Option<Subresource>,
    ) -> Result<Response, ApiError> {
        Wants::of(&request.headers).form()?;
        let (dry_run, validation) = (request.query.dry_run()?, validation(request)?);
        let warnings = Mutex::new(Vec::new());
        let (group, version, kind) = schema_of(at.kind, at.version, below);
        let patched = |old: &Value| -> Result<Value, ApiError> {
            let mut new = patch::apply(request.content_type(), &group, &version, &kind, old, &request.body)?;
            check_shape(&new)?;
            let found = codec::conform(&group, &version, &kind, &mut new, validation)?;
            check_shape(&new)?;
            *warnings.lock().expect("no holder of this lock panics") = found;
            Ok(new)
        };
        let change = |old: &Value| -> Result<Value, ApiError> {
            if below == Some(Subresource::Scale) {
                return apply_scale(old, &patched(&scale_of(old))?);
            }
            let new = patched(old)?;
            self.admit(request, at, &new, Some(old))?;
            Ok(new)
        };
        let result = self.registry.update(at, part_of(below), &change, dry_run).await;
        let (code, object) = match result {
            Err(e) if e.code == 404 && below.is_none() && request.content_type().starts_with(APPLY) => {
                let object = patched(&blank(at))?;
                self.admit(request, at, &object, None)?;
                (201, self.registry.create(at, object, dry_run).await?)
            }
            result => (200, result?),
        };
        let warnings = warnings.into_inner().expect("no holder of this lock panics");
        Self::answer_below(request, at, below, code, object, warnings)
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
        self.registry.update(at, Part::Other, &|pod| bind(at, pod, &binding), dry_run).await?;
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

/// What an apply of an object that is not there is applied to.
fn blank(at: &Location<'_>) -> Value {
    let mut object = json!({"apiVersion": at.kind.api_version(at.version), "kind": at.kind.kind,
        "metadata": {"name": at.name}});
    if at.kind.namespaced {
        object["metadata"]["namespace"] = json!(at.namespace);
    }
    object
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
