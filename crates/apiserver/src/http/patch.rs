//! PATCH, server-side apply among it.

use super::Request;
use super::accept::Wants;
use super::answer::Response;
use super::dispatch::schema_of;
use super::options::{validation, writer};
use super::write::{check_shape, part_of};
use crate::ApiServer;
use crate::codec::{self, FieldValidation};
use crate::kinds::Subresource;
use crate::managed::{self, Apply};
use crate::registry::{Location, Tracking, apply_scale, object, scale_of};
use crate::status::ApiError;
use crate::{FieldError, patch};
use serde_json::{Value, json};
use std::sync::Mutex;

impl ApiServer {
    pub(super) async fn patch(
        &self,
        request: &Request,
        at: &Location<'_>,
        below: Option<Subresource>,
    ) -> Result<Response, ApiError> {
        patch::check_media_type(request.content_type())?;
        if patch::is_apply(request.content_type()) {
            return self.apply(request, at, below).await;
        }
        Wants::of(&request.headers).form()?;
        let (dry_run, validation) = (request.query.dry_run()?, validation(request)?);
        let writer = writer(request, at, below, false)?;
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
        let tracking = Tracking::Update(&writer);
        let object = self.registry.update(at, part_of(below), &change, tracking, dry_run).await?;
        let warnings = warnings.into_inner().expect("no holder of this lock panics");
        Self::answer_below(request, at, below, 200, object, warnings)
    }

    /// Server-side apply: creates what is not there.
    async fn apply(
        &self,
        request: &Request,
        at: &Location<'_>,
        below: Option<Subresource>,
    ) -> Result<Response, ApiError> {
        Wants::of(&request.headers).form()?;
        let (dry_run, validation) = (request.query.dry_run()?, validation(request)?);
        let writer = writer(request, at, below, true)?;
        let (config, warnings) = configuration(request, at, below, validation)?;
        let now = object::timestamp(jiff::Timestamp::now());
        let force = request.query.flag("force");
        let apply = Apply { writer, config: &config, force, now: &now };
        let tidy = |object: &mut Value| {
            let (group, version, kind) = (at.kind.group, at.version, at.kind.kind);
            codec::conform(group, version, kind, object, FieldValidation::Ignore)?;
            check_shape(object)
        };
        let change = |old: &Value| -> Result<Value, ApiError> {
            let new = managed::apply(&apply, old, &tidy)?;
            if below == Some(Subresource::Scale) {
                // for the error of a negative number
                apply_scale(old, &scale_of(&new))?;
            }
            self.admit(request, at, &new, Some(old))?;
            Ok(new)
        };
        let result = self.registry.update(at, part_of(below), &change, Tracking::Applied, dry_run).await;
        let (code, object) = match result {
            Err(e) if e.code == 404 && below.is_none() => {
                let object = || managed::apply(&apply, &json!({}), &tidy);
                (201, self.create_missing(request, at, object, Tracking::Applied, dry_run).await?)
            }
            result => (200, result?),
        };
        Self::answer_below(request, at, below, code, object, warnings)
    }
}

/// The applied configuration, in terms of the object itself, and warnings about it.
fn configuration(
    request: &Request,
    at: &Location<'_>,
    below: Option<Subresource>,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), ApiError> {
    let (config, duplicates) = codec::parse_configuration(&request.body)?;
    let (group, version, kind) = schema_of(at.kind, at.version, below);
    let expected = gvk(&api_version(&group, &version), &kind);
    let text = |field: &str| config[field].as_str().unwrap_or_default();
    if gvk(text("apiVersion"), text("kind")) != expected {
        let found = gvk(text("apiVersion"), text("kind"));
        return Err(ApiError::bad_request(format!("invalid object type: {found}")));
    }
    check_shape(&config)?;
    if config["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let misfits = managed::misfits(&group, &version, &kind, &config);
    if !misfits.is_empty() {
        let list = match misfits.as_slice() {
            [one] => one.clone(),
            all => format!("errors:\n  {}", all.join("\n  ")),
        };
        let who = format!("{}/{}", object::meta(&config, "namespace"), object::meta(&config, "name"));
        let why = format!("failed to create typed patch object ({who}; {expected}): {list}");
        return Err(ApiError::bad_request(why));
    }
    let warnings = match validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Strict if !duplicates.is_empty() => {
            return Err(ApiError::bad_request(format!(
                "error strict decoding patch: {}",
                duplicates.join(", ")
            )));
        }
        FieldValidation::Strict | FieldValidation::Warn => duplicates,
    };
    let config = if below == Some(Subresource::Scale) { of_scale(at, &config)? } else { config };
    Ok((config, warnings))
}

/// A Scale as a configuration of the object that is scaled.
fn of_scale(at: &Location<'_>, scale: &Value) -> Result<Value, ApiError> {
    let Some(replicas) = scale["spec"]["replicas"].as_i64() else {
        let error = FieldError::required("spec.replicas", "");
        return Err(ApiError::invalid("autoscaling", "Scale", at.name, &[error]));
    };
    let mut config = json!({"apiVersion": at.kind.api_version(at.version), "kind": at.kind.kind,
        "spec": {"replicas": replicas}, "metadata": {}});
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        object::set_meta(&mut config, field, scale["metadata"][field].clone());
    }
    Ok(config)
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `apps/v1, Kind=Deployment`, as Go prints it: `/v1, Kind=Service`, `/, Kind=`.
fn gvk(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    format!("{group}/{version}, Kind={kind}")
}
