//! Copies a program without what only debuggers read: the sections that no loadable segment covers, and the section table.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ImageError;
use super::store::encode;

const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// `SHT`-less: `e_shoff` (8 bytes), and `e_shnum`, `e_shstrndx` (2 bytes each).
const SECTION_FIELDS: [(usize, usize); 3] = [(40, 8), (60, 2), (62, 2)];

/// Copies the 64-bit little-endian program at `from` to the new file `to`, executable, and returns the copy's SHA-256.
pub(super) fn copy_stripped(from: &Path, to: &Path) -> Result<String, ImageError> {
    let reading = || ImageError::io("reading", from);
    let mut program = File::open(from).map_err(reading())?;
    let mut head = vec![0; 4096];
    let got = program.read(&mut head).map_err(reading())?;
    head.truncate(got);
    let length = loaded_length(&head).map_err(|why| ImageError::Elf(from.to_owned(), why))?;
    for (at, size) in SECTION_FIELDS {
        head[at..at + size].fill(0);
    }
    head.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    let mut copy = File::create(to).map_err(ImageError::io("making", to))?;
    let mut hash = Sha256::new();
    let mut rest = program.take(length - head.len() as u64);
    let mut buffer = head;
    while !buffer.is_empty() {
        hash.update(&buffer);
        copy.write_all(&buffer).map_err(ImageError::io("writing", to))?;
        buffer.resize(1 << 20, 0);
        let n = rest.read(&mut buffer).map_err(reading())?;
        buffer.truncate(n);
    }
    rustix::fs::fchmod(&copy, rustix::fs::Mode::from_raw_mode(0o755))
        .map_err(|e| ImageError::io("making executable", to)(e.into()))?;
    Ok(encode(&hash.finalize()))
}

/// Where the last segment ends in the file: nothing behind it is ever mapped.
fn loaded_length(head: &[u8]) -> Result<u64, &'static str> {
    if head.len() < HEADER || !head.starts_with(b"\x7fELF\x02\x01") {
        return Err("not a 64-bit little-endian ELF program");
    }
    let number = |at: usize, size: usize| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(head.get(at..at + size)?);
        Some(u64::from_le_bytes(bytes))
    };
    let table = number(32, 8).ok_or("no header")?;
    let count = number(56, 2).ok_or("no header")?;
    let mut end = table + count * SEGMENT as u64;
    for n in 0..count {
        let at = usize::try_from(table + n * SEGMENT as u64).map_err(|_| "segments too far away")?;
        let offset = number(at + 8, 8).ok_or("its segment table is not at its beginning")?;
        let size = number(at + 32, 8).ok_or("its segment table is not at its beginning")?;
        end = end.max(offset.checked_add(size).ok_or("a broken segment")?);
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_copy_runs_and_is_smaller() {
        let dir = tempfile::tempdir().expect("tempdir");
        let me = std::env::current_exe().expect("current_exe");
        let copy = dir.path().join("copy");
        let digest = copy_stripped(&me, &copy).expect("copy");
        let size = |p: &Path| std::fs::metadata(p).expect("metadata").len();
        assert!(size(&copy) < size(&me), "{} of {}", size(&copy), size(&me));
        assert_eq!(digest, encode(&Sha256::digest(std::fs::read(&copy).expect("read"))));
        let out = Command::new(&copy).arg("--list").output().expect("run");
        assert!(out.status.success(), "{out:?}");
        assert!(copy_stripped(Path::new("/etc/passwd"), &copy).is_err());
    }
}
