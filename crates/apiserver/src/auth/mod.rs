//! Who asks, and whether they may: bearer tokens, RBAC, the review APIs and the policy a cluster starts with.
//!
//! | file | holds |
//! |---|---|
//! | `user.rs` | [`User`], [`Attributes`], the texts of a denial |
//! | `token.rs` | service-account tokens: [`issue_token`], [`Authenticator`] |
//! | `rule.rs` | does a rule allow a request (pure) |
//! | `authorizer.rs` | [`Authorizer`]: roles and bindings of the store, cached by a watch |
//! | `review.rs` | the review APIs, as functions from a request object to the answer |
//! | `bootstrap.rs` | [`bootstrap_policy`]: the roles and bindings of a new cluster |
//! | `reconcile.rs` | the same in a cluster that stands |
//! | `escalation.rs` | nobody grants what they do not have |
//! | `node.rs` | which objects a node may touch |
//!
//! Invariant: `system:masters` may do everything; everybody else only what a rule says, and a node only what is its own.

mod authorizer;
mod bootstrap;
mod escalation;
pub(crate) mod node;
mod reconcile;
mod review;
mod rule;
mod token;
mod user;

pub use authorizer::Authorizer;
pub use bootstrap::bootstrap_policy;
pub(crate) use reconcile::{Reconciled, reconcile};
pub use review::{
    local_subject_access_review, self_subject_access_review, self_subject_review, self_subject_rules_review,
    subject_access_review, token_request, token_review,
};
pub use rule::ResolvedRules;
pub use token::{Authenticator, BoundPod, TokenError, TokenSubject, issue_token};
pub use user::{Attributes, User};
