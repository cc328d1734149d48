//! How values of flags are written.

use crate::cluster::PortRange;
use std::time::Duration;

/// A cluster's name stands in paths, cgroups, link names and contexts.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 20 && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (fits && plain && !text.ends_with('-')).then(|| text.to_owned()).ok_or_else(|| {
        "a name is up to 20 of a-z, 0-9 and -, and begins and ends with a letter or digit".into()
    })
}

pub(super) fn port_range(text: &str) -> Result<PortRange, String> {
    let parse = || {
        let (first, last) = text.split_once('-')?;
        Some(PortRange { first: first.parse().ok()?, last: last.parse().ok()? })
    };
    parse()
        .filter(|r| r.first > 0 && r.first <= r.last)
        .ok_or_else(|| format!("{text} is not a range of ports; write it like 30000-32767"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text} is not a duration; write it like 60s or 2m");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| bad())?;
    match unit {
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "ms" => Ok(Duration::from_millis(number)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_links() {
        assert!(name("default").is_ok());
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a_b", "abcdefghijklmnopqrstu"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_and_durations_say_how_to_write_them() {
        assert_eq!(port_range("30000-30010"), Ok(PortRange { first: 30000, last: 30010 }));
        assert!(port_range("5-1").unwrap_err().contains("30000-32767"));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("2h").is_err());
    }
}
