//! `WWW-Authenticate`: what a registry wants to see first (RFC 9110, 11.6.1). Pure.

/// A scheme that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        /// Empty if it was not said.
        service: String,
        /// Empty if it was not said.
        scope: String,
    },
}

/// The best of the challenges in one header's value: a token before a password.
pub(super) fn parse(header: &str) -> Option<Challenge> {
    let mut found = None;
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_at(rest.find([' ', ',']).unwrap_or(rest.len()));
        let (parameters, next) = parameters(after);
        let get = |name: &str| {
            let pair = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            pair.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" if !get("realm").is_empty() => {
                return Some(Challenge::Bearer {
                    realm: get("realm"),
                    service: get("service"),
                    scope: get("scope"),
                });
            }
            "basic" => found = Some(Challenge::Basic),
            _ => {}
        }
        rest = next.trim_start_matches([' ', ',']);
    }
    found
}

/// `key=value` pairs, quoted or not, up to the next scheme; and what follows.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        let start = text.trim_start_matches([' ', ',']);
        let Some((key, after)) = start.split_once('=') else { return (found, start) };
        if key.contains([' ', ',']) {
            return (found, start);
        }
        let (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find([',', ' ']).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        found.push((key.to_owned(), value));
        text = rest;
    }
}

fn unquote(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &text[at + 1..]),
            c => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_as_registries_write_them() {
        let bearer = |realm: &str, service: &str, scope: &str| {
            let [realm, service, scope] = [realm, service, scope].map(str::to_owned);
            Some(Challenge::Bearer { realm, service, scope })
        };
        for (header, wanted) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                bearer("https://auth.docker.io/token", "registry.docker.io", "repository:library/nginx:pull"),
            ),
            (r#"bearer realm=https://a/t, service="a \"b\", c""#, bearer("https://a/t", "a \"b\", c", "")),
            (r#"Basic realm="basic-realm""#, Some(Challenge::Basic)),
            (r#"Basic realm="x", Bearer realm="https://a""#, bearer("https://a", "", "")),
            (r#"Negotiate, Basic realm="x""#, Some(Challenge::Basic)),
            (r#"Negotiate abc=="#, None),
            (r#"Bearer service="no realm""#, None),
            (r#"Bearer realm="cut"#, bearer("cut", "", "")),
            ("", None),
        ] {
            assert_eq!(parse(header), wanted, "{header}");
        }
    }
}
