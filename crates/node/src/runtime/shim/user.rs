//! Who a container runs as: the security context over the image's user, names looked up in the image's own files.

use super::super::types::SecurityContext;
use super::child::Failure;

/// A container's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// `passwd` and `group` are the image's `/etc/passwd` and `/etc/group`, empty if it has none.
pub(super) fn resolve(
    image_user: &str,
    context: &SecurityContext,
    passwd: &str,
    group: &str,
) -> Result<User, Failure> {
    let (wanted, wanted_group) = match context.run_as_user {
        Some(uid) => (uid.to_string(), None),
        None => match image_user.split_once(':') {
            Some((user, group)) => (user.to_owned(), Some(group).filter(|g| !g.is_empty())),
            None => (image_user.to_owned(), None),
        },
    };
    let wanted = if wanted.is_empty() { "0".to_owned() } else { wanted };
    let entry = entries(passwd).find(|e| e[0] == wanted || e.get(2).is_some_and(|uid| *uid == wanted));
    let field = |n: usize| entry.as_ref().and_then(|e| e.get(n).copied());
    let uid = match (wanted.parse(), field(2).map(str::parse)) {
        (_, Some(Ok(uid))) | (Ok(uid), _) => uid,
        _ => {
            return Err(Failure::config(format!(
                "unable to find user {wanted}: no matching entries in passwd file"
            )));
        }
    };
    let gid = match (context.run_as_group, wanted_group) {
        (Some(gid), _) => gid,
        (None, Some(name)) => group_id(name, group)?,
        (None, None) => field(3).and_then(|g| g.parse().ok()).unwrap_or(0),
    };
    if context.run_as_non_root && uid == 0 {
        return Err(Failure::config("container has runAsNonRoot and image will run as root"));
    }
    let mut groups = context.supplemental_groups.clone();
    if let Some(name) = field(0) {
        let member = |e: &Vec<&str>| e.get(3).is_some_and(|m| m.split(',').any(|m| m == name));
        groups.extend(entries(group).filter(member).filter_map(|e| e.get(2)?.parse::<u32>().ok()));
    }
    groups.sort_unstable();
    groups.dedup();
    let home = field(5).filter(|h| !h.is_empty()).unwrap_or(if uid == 0 { "/root" } else { "/" }).to_owned();
    Ok(User { uid, gid, groups, home })
}

fn group_id(name: &str, group: &str) -> Result<u32, Failure> {
    let found = entries(group).find(|e| e[0] == name).and_then(|e| e.get(2)?.parse().ok());
    found.or_else(|| name.parse().ok()).ok_or_else(|| {
        Failure::config(format!("unable to find group {name}: no matching entries in group file"))
    })
}

fn entries(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:www:/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nmail:x:8:www,root\n";

    fn user(image: &str, context: &SecurityContext) -> Result<(u32, u32, Vec<u32>, String), String> {
        let found = resolve(image, context, PASSWD, GROUP).map_err(|e| e.message)?;
        Ok((found.uid, found.gid, found.groups, found.home))
    }

    #[test]
    fn names_and_numbers() {
        let context = SecurityContext::default();
        for (image, expected) in [
            ("", (0, 0, vec![8], "/root")),
            ("www", (33, 34, vec![8], "/srv")),
            ("33", (33, 34, vec![8], "/srv")),
            ("www:mail", (33, 8, vec![8], "/srv")),
            ("1000:2000", (1000, 2000, vec![], "/")),
        ] {
            let (uid, gid, groups, home) = user(image, &context).expect(image);
            assert_eq!((uid, gid, groups, home.as_str()), expected, "{image}");
        }
        assert!(user("nobody", &context).is_err());
        assert!(user("www:nogroup", &context).is_err());
    }

    #[test]
    fn the_security_context_decides() {
        let context = SecurityContext { run_as_user: Some(7), run_as_group: Some(9), ..Default::default() };
        assert_eq!(user("www:mail", &context), Ok((7, 9, vec![], "/".into())));
        let context = SecurityContext { run_as_non_root: true, ..Default::default() };
        assert!(user("", &context).is_err_and(|e| e.contains("runAsNonRoot")));
        assert!(user("www", &context).is_ok());
        let context = SecurityContext { supplemental_groups: vec![8, 5], ..Default::default() };
        assert_eq!(user("www", &context).map(|u| u.2), Ok(vec![5, 8]));
    }
}
