//! How sentences are put together.

use crate::objects::{Labels, Pod};

/// "1 Pod", "3 Pods".
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// "2 of 3 Pods", "its only Pod".
pub(crate) fn share(number: usize, of: usize, what: &str) -> String {
    if of == 1 { format!("its only {what}") } else { format!("{number} of {}", count(of, what)) }
}

/// "Pod web-1", "Pods web-1 and web-2", "Pods web-1, web-2 and 7 more".
pub(crate) fn pods(pods: &[&Pod]) -> String {
    let names: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
    match names.as_slice() {
        [one] => format!("Pod {one}"),
        names => format!("Pods {}", list(names)),
    }
}

/// "a", "a and b", "a, b and c", "a, b and 7 more".
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        [one] => (*one).into(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
    }
}

/// "has" or "have".
pub(crate) fn has(number: usize) -> &'static str {
    if number == 1 { "has" } else { "have" }
}

/// Labels as kubectl's `-l` takes them: "app=web,version=4.1".
pub(crate) fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// A message of another program as the end of a sentence: one line, without its full stop.
pub(crate) fn quoted(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').to_owned()
}

/// "is" or "are".
pub(crate) fn is(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}
