//! Reads a log file line by line, from its end if asked, and over rotation.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::line::Filter;

/// A log that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

const BLOCK: usize = 32 * 1024;

impl Reader {
    /// Opens a log, to be read from its last `tail` lines on. A log that is not there yet is empty.
    pub(super) fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut file = open(path)?;
        if let (Some(file), Some(tail)) = (file.as_mut(), tail) {
            let start = start_of_last(file, tail)?;
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Self { path: path.to_owned(), file, rest: Vec::new() })
    }

    /// The next whole lines; none if there are no more now.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.file.is_none() {
                self.file = open(&self.path)?;
            }
            let Some(file) = self.file.as_mut() else { return Ok(None) };
            let mut block = vec![0; BLOCK];
            let count = file.read(&mut block)?;
            if count == 0 {
                if !self.rotated()? {
                    return Ok(None);
                }
                // The old file was read to its end: go on with the new one.
                self.file = None;
                continue;
            }
            self.rest.extend_from_slice(&block[..count]);
            if let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
        }
    }

    /// Whether the path names another file by now.
    fn rotated(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        match std::fs::metadata(&self.path) {
            Ok(now) => Ok(now.ino() != file.metadata()?.ino()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Where the last `count` lines begin.
fn start_of_last(file: &mut File, count: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut newlines = 0;
    while end > 0 {
        let start = end.saturating_sub(u64::try_from(BLOCK).unwrap_or(u64::MAX));
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(BLOCK)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            newlines += 1;
            // The last byte's newline ends the last line; the one before the wanted lines is one more.
            if newlines > count {
                return Ok(start + u64::try_from(index).unwrap_or(0) + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

/// The text of the last `lines` lines, at most `bytes` of it, for termination messages.
pub(crate) fn last_lines(path: &Path, lines: u64, bytes: usize) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut reader = Reader::open(path, Some(lines))?;
        let mut filter = Filter::new(false, None, None);
        let mut out = Vec::new();
        while let Some(raw) = reader.read()? {
            out.extend(filter.take(&raw));
        }
        Ok(out)
    };
    let text = read().unwrap_or_default();
    let from = text.len().saturating_sub(bytes);
    String::from_utf8_lossy(&text[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(reader: &mut Reader) -> String {
        let mut out = Vec::new();
        while let Some(lines) = reader.read().unwrap() {
            out.extend(lines);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        for (tail, wanted) in [
            (None, "a\nb\nc\n"),
            (Some(0), ""),
            (Some(1), "c\n"),
            (Some(2), "b\nc\n"),
            (Some(3), "a\nb\nc\n"),
            (Some(9), "a\nb\nc\n"),
        ] {
            assert_eq!(all(&mut Reader::open(&path, tail).unwrap()), wanted, "{tail:?}");
        }
        let long: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&path, &long).unwrap();
        let got = all(&mut Reader::open(&path, Some(15_000)).unwrap());
        assert_eq!((got.lines().count(), got.lines().next()), (15_000, Some("line 5000")));
    }

    #[test]
    fn half_lines_wait_and_rotation_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut reader = Reader::open(&path, None).unwrap();
        assert_eq!(all(&mut reader), "");
        let mut file = File::create(&path).unwrap();
        write!(file, "one\ntw").unwrap();
        assert_eq!(all(&mut reader), "one\n");
        writeln!(file, "o").unwrap();
        assert_eq!(all(&mut reader), "two\n");
        writeln!(file, "last").unwrap();
        std::fs::rename(&path, dir.path().join("0.log.1")).unwrap();
        assert_eq!(all(&mut reader), "last\n");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(all(&mut reader), "new\n");
    }

    #[test]
    fn last_words_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, "t stdout F one\nt stdout F two\nt stdout F three\n").unwrap();
        assert_eq!(last_lines(&path, 2, 100), "two\nthree\n");
        assert_eq!(last_lines(&path, 9, 6), "three\n");
        assert_eq!(last_lines(&dir.path().join("no"), 9, 6), "");
    }
}
