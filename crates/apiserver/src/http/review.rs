//! Reviews and tokens: asked, answered, not stored.

use super::Request;
use super::accept::Wants;
use super::answer::{self, Response};
use super::write::decoded;
use crate::ApiServer;
use crate::auth;
use crate::kinds::Subresource;
use crate::registry::Location;
use crate::status::ApiError;
use jiff::Timestamp;

impl ApiServer {
    pub(super) fn review(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        Wants::of(&request.headers).json()?;
        request.query.dry_run()?;
        let (object, warnings) = decoded(request, at, None)?;
        let (user, authorizer) = (&request.user, &self.authorizer);
        let answered = match at.kind.kind {
            "TokenReview" => auth::token_review(&self.authenticator, object, Timestamp::now()),
            "SelfSubjectReview" => auth::self_subject_review(user, object),
            "SubjectAccessReview" => auth::subject_access_review(authorizer, object)?,
            "LocalSubjectAccessReview" => {
                auth::local_subject_access_review(authorizer, at.namespace, object)?
            }
            "SelfSubjectAccessReview" => auth::self_subject_access_review(authorizer, user, object)?,
            "SelfSubjectRulesReview" => auth::self_subject_rules_review(authorizer, user, object)?,
            other => return Err(ApiError::internal(format_args!("nobody answers a {other}"))),
        };
        Ok(answer::warn(answer::value(201, &answered), &warnings))
    }

    pub(super) fn token(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        Wants::of(&request.headers).json()?;
        let (object, warnings) = decoded(request, at, Some(Subresource::Token))?;
        let (store, now) = (&*self.registry.store, Timestamp::now());
        let answered = auth::token_request(&self.config, store, at.namespace, at.name, object, now)?;
        Ok(answer::warn(answer::value(201, &answered), &warnings))
    }
}
