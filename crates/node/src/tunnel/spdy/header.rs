//! Header blocks: pairs of names and values, all blocks of one direction in one zlib stream with a preset dictionary.
//!
//! flate2's Rust backend takes no dictionary. Inflating a stored block with the dictionary's bytes first comes to the same:
//! they are what the stream then refers back to. What is written is not compressed (stored blocks): answers have no headers.

use flate2::{Decompress, FlushDecompress};

use super::dictionary::{ID, dictionary};

/// The most bytes that one block may have when inflated.
const BLOCK_MAX: usize = 16 * 1024;
/// zlib's first bytes: deflate with a 32 KiB window, and a dictionary (RFC 1950).
const ZLIB_WITH_DICTIONARY: [u8; 2] = [0x78, 0xbb];

/// The headers of a stream; names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// The value of a header; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }
}

/// What is wrong with a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The zlib stream is none, or uses another dictionary.
    #[error("cannot inflate a header block")]
    Inflate,
    /// More than `BLOCK_MAX`.
    #[error("a header block of more than {BLOCK_MAX} bytes")]
    TooLong,
    /// Lengths that do not fit.
    #[error("a malformed header block")]
    Malformed,
}

/// Reads the blocks of one direction, which must come in order and all of them.
pub(super) struct BlockReader {
    inflate: Decompress,
    begun: bool,
}

impl BlockReader {
    pub(super) fn new() -> Self {
        let mut inflate = Decompress::new(false);
        let dictionary = dictionary();
        let mut scratch = Vec::with_capacity(dictionary.len() * 2);
        inflate
            .decompress_vec(&stored(&dictionary), &mut scratch, FlushDecompress::None)
            .expect("a stored block can be inflated");
        debug_assert_eq!(scratch, dictionary, "the window holds the dictionary");
        Self { inflate, begun: false }
    }

    pub(super) fn read(&mut self, block: &[u8]) -> Result<Headers, HeaderError> {
        let mut deflated = block;
        if !self.begun {
            deflated = after_zlib_header(block).ok_or(HeaderError::Inflate)?;
            self.begun = true;
        }
        parse(&self.inflate(deflated)?).ok_or(HeaderError::Malformed)
    }

    fn inflate(&mut self, mut deflated: &[u8]) -> Result<Vec<u8>, HeaderError> {
        let mut block = Vec::with_capacity(BLOCK_MAX + 1);
        while !deflated.is_empty() {
            let (before, length) = (self.inflate.total_in(), block.len());
            let status = self.inflate.decompress_vec(deflated, &mut block, FlushDecompress::Sync);
            if status.is_err() || matches!(status, Ok(flate2::Status::StreamEnd)) {
                return Err(HeaderError::Inflate);
            }
            if block.len() > BLOCK_MAX {
                return Err(HeaderError::TooLong);
            }
            let taken = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            deflated = deflated.get(taken..).ok_or(HeaderError::Inflate)?;
            if taken == 0 && block.len() == length {
                return Err(HeaderError::Inflate);
            }
        }
        Ok(block)
    }
}

/// A client may do without the dictionary.
fn after_zlib_header(block: &[u8]) -> Option<&[u8]> {
    match block {
        [method, flags, rest @ ..] if method & 0x0f == 8 && flags & 0x20 == 0 => Some(rest),
        [method, _, rest @ ..] if method & 0x0f == 8 => rest.strip_prefix(&ID),
        _ => None,
    }
}

fn parse(mut block: &[u8]) -> Option<Headers> {
    let count = number(&mut block)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = text(&mut block)?;
        headers.push((name.to_ascii_lowercase(), text(&mut block)?));
    }
    Some(Headers(headers))
}

fn number(block: &mut &[u8]) -> Option<usize> {
    let (number, rest) = block.split_first_chunk::<4>()?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn text(block: &mut &[u8]) -> Option<String> {
    let (text, rest) = number(block).and_then(|length| block.split_at_checked(length))?;
    *block = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Writes the blocks of one direction.
#[derive(Default)]
pub(crate) struct BlockWriter {
    begun: bool,
}

impl BlockWriter {
    /// The next block.
    pub(crate) fn write(&mut self, headers: &Headers) -> Vec<u8> {
        let length = |n: usize| u32::try_from(n).expect("our headers are short").to_be_bytes();
        let mut block = length(headers.0.len()).to_vec();
        for part in headers.0.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&length(part.len()));
            block.extend_from_slice(part.as_bytes());
        }
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&ZLIB_WITH_DICTIONARY);
            out.extend_from_slice(&ID);
        }
        out.extend_from_slice(&stored(&block));
        // An empty block: Go's reader hands on what it has at such a one only, as zlib's Z_SYNC_FLUSH makes it.
        out.extend_from_slice(&stored(&[]));
        out
    }
}

/// A block of deflate that is not compressed and not the last (RFC 1951, 3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a stored block is at most 64 KiB");
    let mut out = vec![0];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    /// The first two blocks of Go's `golang.org/x/net/spdy`, as kubectl sends them for one port.
    const FROM_KUBECTL: [(&str, &[(&str, &str)]); 2] = [
        (GO_ERROR, &[("port", "8080"), ("requestid", "0"), ("streamtype", "error")]),
        (GO_DATA, &[("port", "8080"), ("requestid", "0"), ("streamtype", "data")]),
    ];
    const GO_ERROR: &str = "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c60616061c0c0c0c0590489c64c50f2663400000000ffff";
    const GO_DATA: &str = "c2aa19540e2512d60b000000ffff";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_blocks_of_another_implementation_are_read() {
        let mut reader = BlockReader::new();
        for (block, expected) in FROM_KUBECTL {
            let mut found = reader.read(&unhex(block)).unwrap();
            found.0.sort();
            assert_eq!(found, headers(expected));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (mut writer, mut reader) = (BlockWriter::default(), BlockReader::new());
        for pairs in [&[][..], &[("port", "80"), ("x", "")], &[("port", "81")]] {
            assert_eq!(reader.read(&writer.write(&headers(pairs))).unwrap(), headers(pairs));
        }
        let empty = BlockWriter::default().write(&headers(&[]));
        let (begin, data) = ([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2], [0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]);
        assert_eq!(
            empty,
            [&begin[..], &data, &[0, 0, 0, 0xff, 0xff]].concat(),
            "what Go's clients have read"
        );
        assert_eq!(headers(&[("port", "80")]).get("port"), "80");
        assert_eq!(headers(&[("port", "80")]).get("requestid"), "");
    }

    #[test]
    fn nonsense_is_refused() {
        let zlib = |bytes: &[u8]| [&[0x78, 0x01], bytes].concat();
        for (block, error) in [
            (vec![], HeaderError::Inflate),
            (vec![0x79, 0x01, 0], HeaderError::Inflate),
            ([&[0x78, 0xbb, 1, 2, 3, 4][..], &stored(&[0; 4])].concat(), HeaderError::Inflate),
            (zlib(&[0xff, 0xff]), HeaderError::Inflate),
            // The last block ends the stream, in which more must follow.
            (zlib(&[&[1], &stored(&[0; 4])[1..]].concat()), HeaderError::Inflate),
            (zlib(&stored(&[0; BLOCK_MAX + 1])), HeaderError::TooLong),
            (zlib(&stored(&[0, 0, 0, 1])), HeaderError::Malformed),
            (zlib(&stored(&[0, 0, 0, 1, 0, 0, 0, 9, b'x'])), HeaderError::Malformed),
            (zlib(&stored(&[0xff; 8])), HeaderError::Malformed),
        ] {
            assert_eq!(BlockReader::new().read(&block), Err(error), "{block:?}");
        }
    }
}
