//! Zstandard streams: any number of frames, with skippable ones between, as `zstd:chunked` and parallel compressors write.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Content that is decoded ahead, in bytes.
const AHEAD: usize = 1 << 17;

/// Whether `magic` begins a frame, a skippable one included (RFC 8878, 3.1).
pub(super) fn is_frame(magic: &[u8]) -> bool {
    match *magic {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [low, 0x2a, 0x4d, 0x18, ..] => low & 0xf0 == 0x50,
        _ => false,
    }
}

/// The content of all frames, one after the other.
pub(super) struct Frames<R> {
    reader: BufReader<R>,
    decoder: FrameDecoder,
    inside: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 16, reader),
            decoder: FrameDecoder::new(),
            inside: false,
        }
    }

    /// Enters the next frame that has content; false at the end.
    fn enter(&mut self) -> io::Result<bool> {
        while !self.reader.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.reader) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.reader.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside {
                self.inside = self.enter()?;
                if !self.inside {
                    return Ok(0);
                }
            }
            if !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
                let some = BlockDecodingStrategy::UptoBytes(AHEAD);
                self.decoder.decode_blocks(&mut self.reader, some).map_err(|e| broken(&e))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.inside = !self.decoder.is_finished();
        }
    }
}

fn broken(error: &FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broken zstd data: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    #[test]
    fn frames_and_skippable_frames_follow_each_other() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut stream = vec![0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert!(is_frame(&stream) && !is_frame(&text) && !is_frame(b""));
        for half in text.chunks(text.len() / 2) {
            stream.extend(compress_to_vec(half, CompressionLevel::Fastest));
            stream.extend([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9]);
        }
        let mut read = Vec::new();
        Frames::new(stream.as_slice()).read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        let cut = &stream[..stream.len() / 2];
        assert!(
            Frames::new(cut).read_to_end(&mut Vec::new()).is_err(),
            "a stream that is cut off is an error"
        );
    }
}
