//! Lines of the CRI log format, `TIME STREAM F|P TEXT`, and what of them a client sees. Pure.

use jiff::Timestamp;

/// Turns raw lines into what the client asked for.
#[derive(Debug)]
pub(super) struct Filter {
    timestamps: bool,
    since: Option<Timestamp>,
    left: Option<u64>,
    /// The last line was a part: its rest needs no time of its own.
    partial: bool,
    /// The rest of a line that is being skipped is skipped too.
    skipping: bool,
}

impl Filter {
    pub(super) fn new(timestamps: bool, since: Option<Timestamp>, limit_bytes: Option<u64>) -> Self {
        Self { timestamps, since, left: limit_bytes, partial: false, skipping: false }
    }

    /// Whether the client has all that it asked for.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// The text for the client of some whole raw lines.
    pub(super) fn take(&mut self, raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(raw.len());
        for line in raw.split_inclusive(|b| *b == b'\n') {
            self.line(line.strip_suffix(b"\n").unwrap_or(line), &mut out);
        }
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= u64::try_from(out.len()).unwrap_or(*left).min(*left);
        }
        out
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut words = line.splitn(4, |b| *b == b' ');
        let (Some(time), Some(_stream), Some(tag)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let text = words.next().unwrap_or_default();
        let continued = std::mem::replace(&mut self.partial, tag.first() == Some(&b'P'));
        if !continued {
            self.skipping = self.since.is_some_and(|since| {
                let at = std::str::from_utf8(time).ok().and_then(|t| t.parse::<Timestamp>().ok());
                at.is_some_and(|at| at < since)
            });
        }
        if self.skipping {
            return;
        }
        if self.timestamps && !continued {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        out.extend_from_slice(text);
        if !self.partial {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01T00:00:01.5Z stdout F one\n\
                       2026-01-01T00:00:02Z stderr P tw\n\
                       2026-01-01T00:00:03Z stderr F o  spaces\n\
                       2026-01-01T00:00:04Z stdout F \n\
                       2026-01-01T00:00:05Z stdout F four\n";

    fn shown(mut filter: Filter) -> String {
        String::from_utf8(filter.take(LOG.as_bytes())).unwrap()
    }

    #[test]
    fn parts_are_joined() {
        assert_eq!(shown(Filter::new(false, None, None)), "one\ntwo  spaces\n\nfour\n");
    }

    #[test]
    fn a_line_has_one_time() {
        let wanted = "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:02Z two  spaces\n\
                      2026-01-01T00:00:04Z \n2026-01-01T00:00:05Z four\n";
        assert_eq!(shown(Filter::new(true, None, None)), wanted);
    }

    #[test]
    fn old_lines_are_skipped_whole() {
        let since = "2026-01-01T00:00:02.5Z".parse().ok();
        assert_eq!(shown(Filter::new(false, since, None)), "\nfour\n");
    }

    #[test]
    fn a_limit_is_exact() {
        let mut filter = Filter::new(false, None, Some(6));
        assert_eq!(filter.take(LOG.as_bytes()), b"one\ntw");
        assert!(filter.is_full());
        assert!(filter.take(LOG.as_bytes()).is_empty());
    }

    #[test]
    fn damaged_lines_are_left_out() {
        let mut filter = Filter::new(true, None, None);
        assert_eq!(filter.take(b"\n\nhalf a\nnot-a-time stdout F x\n"), b"not-a-time x\n");
    }
}
