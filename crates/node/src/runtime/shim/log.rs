//! A container's log in CRI's format: `TIME stdout F LINE`, `P` for a part of a line that goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Longer lines are cut into parts, as containerd does.
const LONGEST_PART: usize = 16 << 10;
const ROTATE_AT: u64 = 10 << 20;
/// The log itself and `.1` … `.4`.
const FILES: u32 = 5;

/// An open log.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    /// Unfinished lines of stdout and stderr.
    pending: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, pending: Default::default() })
    }

    /// Takes what a container wrote. A log that can't be written (a full disk) loses lines; the container goes on.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) {
        let pending = &mut self.pending[stream as usize];
        pending.extend(bytes);
        let text = take_lines(pending, stream, now);
        self.append(&text);
    }

    /// Writes unfinished lines: nothing follows.
    pub(super) fn finish(&mut self, now: Timestamp) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.pending[stream as usize]);
            if !rest.is_empty() {
                self.append(&line(&rest, stream, 'F', now));
            }
        }
    }

    fn append(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.size >= ROTATE_AT {
            // If it fails the log goes on growing.
            drop(self.rotate());
        }
        if self.file.write_all(text).is_ok() {
            self.size += text.len() as u64;
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            if n > 0 {
                name.push(format!(".{n}"));
            }
            PathBuf::from(name)
        };
        for n in (0..FILES - 1).rev().filter(|n| name(*n).exists()) {
            fs::rename(name(n), name(n + 1))?;
        }
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

/// Takes the whole lines, and parts of lines that are too long, out of `pending`.
fn take_lines(pending: &mut Vec<u8>, stream: Stream, now: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    let mut from = 0;
    loop {
        let rest = &pending[from..];
        let end = rest.iter().take(LONGEST_PART).position(|b| *b == b'\n');
        match end {
            Some(end) => {
                text.extend(line(&rest[..end], stream, 'F', now));
                from += end + 1;
            }
            None if rest.len() > LONGEST_PART => {
                text.extend(line(&rest[..LONGEST_PART], stream, 'P', now));
                from += LONGEST_PART;
            }
            None => break,
        }
    }
    pending.drain(..from);
    text
}

fn line(content: &[u8], stream: Stream, tag: char, now: Timestamp) -> Vec<u8> {
    let mut text = format!("{now:.9} {} {tag} ", stream.name()).into_bytes();
    text.extend(content);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_parts_and_the_rest() {
        let now = Timestamp::UNIX_EPOCH;
        let mut pending = b"one\n\ntwo".to_vec();
        let text = String::from_utf8(take_lines(&mut pending, Stream::Stdout, now)).expect("utf-8");
        let at = "1970-01-01T00:00:00.000000000Z";
        assert_eq!(text, format!("{at} stdout F one\n{at} stdout F \n"));
        assert_eq!(pending, b"two");
        let mut long = vec![b'x'; LONGEST_PART + 1];
        let text = take_lines(&mut long, Stream::Stderr, now);
        assert_eq!(text.len(), format!("{at} stderr P \n").len() + LONGEST_PART);
        assert_eq!(long, b"x");
    }

    #[test]
    fn a_full_log_is_rotated_four_times() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("deep/0.log");
        let mut log = Log::open(&path).expect("open");
        for n in 0..7 {
            log.write(Stream::Stdout, format!("{n}\n").as_bytes(), Timestamp::UNIX_EPOCH);
            log.size = ROTATE_AT;
        }
        log.write(Stream::Stdout, b"unfinished", Timestamp::UNIX_EPOCH);
        log.finish(Timestamp::UNIX_EPOCH);
        let read = |n: &str| fs::read_to_string(format!("{}{n}", path.display())).unwrap_or_default();
        assert!(read("").ends_with("F unfinished\n"), "{}", read(""));
        assert!(read(".1").ends_with("F 6\n") && read(".4").ends_with("F 3\n"));
        assert_eq!(read(".5"), "");
    }
}
