//! Nobody grants what they do not have (`pkg/registry/rbac/{role,rolebinding}/policybased`).

use super::authorizer::Authorizer;
use super::rule::Rule;
use super::{Attributes, User};
use crate::kinds::RBAC;
use crate::registry::object::meta;
use crate::status::ApiError;
use crate::strategy::access::{at, text};
use serde_json::Value;

impl Authorizer {
    /// Checks a write of a Role, ClusterRole, RoleBinding or ClusterRoleBinding: its rules are the user's own, or the
    /// user may `escalate` roles, `bind` this one.
    ///
    /// # Errors
    /// 403 with the rules that are missing; 404 if a binding's role does not exist.
    pub fn check_escalation(
        &self,
        user: &User,
        kind: &str,
        plural: &str,
        namespace: &str,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        if user.is_master() {
            return Ok(());
        }
        match kind {
            "Role" | "ClusterRole" => self.check_role(user, plural, namespace, new, old),
            "RoleBinding" | "ClusterRoleBinding" => self.check_binding(user, plural, namespace, new),
            _ => Ok(()),
        }
    }

    fn check_role(
        &self,
        user: &User,
        plural: &str,
        namespace: &str,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let same =
            |old: &Value| ["rules", "aggregationRule"].iter().all(|key| at(new, &[key]) == at(old, &[key]));
        if old.is_some_and(same) || self.may(user, "escalate", plural, namespace, meta(new, "name")) {
            return Ok(());
        }
        let mut wanted = Rule::parse_all(new);
        if !at(new, &["aggregationRule"]).is_null() {
            wanted.extend(Rule::everything());
        }
        self.check_covered(user, plural, namespace, meta(new, "name"), &wanted)
    }

    fn check_binding(&self, user: &User, plural: &str, namespace: &str, new: &Value) -> Result<(), ApiError> {
        let role = at(new, &["roleRef"]);
        let name = text(role, "name");
        let roles = if text(role, "kind") == "ClusterRole" { "clusterroles" } else { "roles" };
        if self.may(user, "bind", roles, namespace, name) {
            return Ok(());
        }
        let rules = self.role_rules(role, namespace).ok_or_else(|| ApiError::not_found(RBAC, roles, name))?;
        self.check_covered(user, plural, namespace, meta(new, "name"), &rules)
    }

    fn may(&self, user: &User, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let asked = Attributes {
            verb: verb.into(),
            group: RBAC.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Attributes::default()
        };
        self.decide(user, &asked).is_some()
    }

    fn check_covered(
        &self,
        user: &User,
        plural: &str,
        namespace: &str,
        name: &str,
        wanted: &[Rule],
    ) -> Result<(), ApiError> {
        let own = self.rules(user, namespace).rules;
        let covered = |piece: &Rule| own.iter().any(|rule| rule.covers(piece));
        let missing: Vec<String> =
            wanted.iter().filter(|rule| !rule.pieces().iter().all(covered)).map(Rule::compact).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<String> = user.groups.iter().map(|g| format!("\"{g}\"")).collect();
        let why = format!(
            "user \"{}\" (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            groups.join(" "),
            missing.join("\n")
        );
        Err(ApiError::forbidden(RBAC, plural, name, &why))
    }
}
