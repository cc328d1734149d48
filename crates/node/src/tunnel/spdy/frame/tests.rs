//! Frames in tables, cut anywhere, and damaged.

use super::super::header::BlockWriter;
use super::*;
use proptest::prelude::*;

fn frames(bytes: &[u8], cut: usize) -> Result<Vec<Frame>, FrameError> {
    let (mut reader, mut found) = (Reader::default(), Vec::new());
    for part in bytes.chunks(cut.max(1)) {
        reader.feed(part);
        while let Some(frame) = reader.next()? {
            found.push(frame);
        }
    }
    Ok(found)
}

/// What a client says for one port, and what it means.
fn conversation() -> (Vec<u8>, Vec<Frame>) {
    let mut blocks = BlockWriter::default();
    let headers = |kind: &str| Headers(vec![("streamtype".into(), kind.into())]);
    let (error, data_headers) = (headers("error"), headers("data"));
    let bytes = [
        syn_stream(1, &blocks.write(&error)),
        syn_stream(3, &blocks.write(&data_headers)),
        data(3, b"GET /", false),
        data(1, b"", true),
        control(4, &[0], &[]),
        ping(7),
        control(9, &[3, 100], &[]),
        syn_reply(2, &blocks.write(&Headers::default())),
        reset(3, Status::Cancel),
        control(GOAWAY, &[3, 0], &[]),
        control(HEADERS, &[1], &blocks.write(&error)),
    ]
    .concat();
    let frames = vec![
        Frame::SynStream { stream: 1, fin: false, headers: error },
        Frame::SynStream { stream: 3, fin: false, headers: data_headers },
        Frame::Data { stream: 3, bytes: "GET /".into(), fin: false },
        Frame::Data { stream: 1, bytes: Bytes::new(), fin: true },
        Frame::Other,
        Frame::Ping(7),
        Frame::Other,
        Frame::SynReply { stream: 2 },
        Frame::Reset { stream: 3 },
        Frame::GoAway,
        Frame::Other,
    ];
    (bytes, frames)
}

#[test]
fn a_conversation_is_read() {
    let (bytes, expected) = conversation();
    assert_eq!(frames(&bytes, bytes.len()).unwrap(), expected);
}

#[test]
fn what_is_no_spdy_is_refused() {
    let head =
        |version: u8, kind: u8, length: u32| [&[0x80, version, 0, kind][..], &length.to_be_bytes()].concat();
    for (bytes, error) in [
        (head(2, 1, 10), FrameError::Version(2)),
        (b"\xffTTP/1.1 400 Bad".to_vec(), FrameError::Version(0x7f54)),
        (head(3, 1, 64 * 1024 + 1), FrameError::TooLong(64 * 1024 + 1)),
        (head(3, 1, 0), FrameError::TooShort(1)),
        ([head(3, 3, 3), vec![0; 3]].concat(), FrameError::TooShort(3)),
        ([head(3, 6, 2), vec![0; 2]].concat(), FrameError::TooShort(6)),
        ([head(3, 1, 12), vec![0; 12]].concat(), FrameError::Headers(HeaderError::Inflate)),
    ] {
        assert_eq!(frames(&bytes, 1000), Err(error), "{bytes:?}");
    }
}

#[test]
fn data_is_handed_on_as_it_comes() {
    let mut reader = Reader::default();
    reader.feed(&data(5, &[b'x'; 100], true)[..58]);
    let part = |n, fin| Ok(Some(Frame::Data { stream: 5, bytes: vec![b'x'; n].into(), fin }));
    assert_eq!(reader.next(), part(50, false));
    assert_eq!(reader.next(), Ok(None));
    reader.feed(&[b'x'; 49]);
    assert_eq!(reader.next(), part(49, false));
    reader.feed(b"x");
    assert_eq!(reader.next(), part(1, true));
    assert_eq!(reader.next(), Ok(None));
}

/// Data frames in parts as whole ones.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        match (out.last_mut(), frame) {
            (
                Some(Frame::Data { stream, bytes, fin: end @ false }),
                Frame::Data { stream: s, bytes: b, fin },
            ) if *stream == s => {
                *bytes = [&bytes[..], &b[..]].concat().into();
                *end = fin;
            }
            (_, frame) => out.push(frame),
        }
    }
    out
}

proptest! {
    #[test]
    fn the_cut_of_the_bytes_does_not_matter(cut in 1usize..40) {
        let (bytes, expected) = conversation();
        prop_assert_eq!(joined(frames(&bytes, cut).unwrap()), expected);
    }

    #[test]
    fn reading_never_panics_and_keeps_little(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..4000),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        real in any::<bool>(),
    ) {
        if real {
            bytes = conversation().0;
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        let mut reader = Reader::default();
        for part in bytes.chunks(700) {
            reader.feed(part);
            loop {
                match reader.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            prop_assert!(reader.buffer.len() < HEAD + CONTROL_MAX);
        }
    }
}
