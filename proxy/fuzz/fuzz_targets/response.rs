//! An endpoint's HTTP/1.1: heads and chunks, the same however the bytes are cut.
#![no_main]

use bytes::BytesMut;
use http::Method;
use libfuzzer_sys::fuzz_target;
use proxy::upstream::http1::{Chunks, Framing, Piece, parse};

/// The body's bytes and whether it ended, or none where the bytes are no response.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, bool)> {
    let (mut bytes, mut body) = (BytesMut::new(), Vec::new());
    let mut chunks: Option<Chunks> = None;
    for piece in pieces {
        bytes.extend_from_slice(piece);
        if chunks.is_none() {
            let Some(head) = parse(&mut bytes, &Method::GET).ok()? else { continue };
            let Framing::Chunked(begun) = head.framing else { return Some((body, true)) };
            chunks = Some(begun);
        }
        let chunks = chunks.as_mut()?;
        while let Some(piece) = chunks.next(&mut bytes).ok()? {
            match piece {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::End(_) => return Some((body, true)),
            }
        }
    }
    Some((body, false))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, wire)) = bytes.split_first() else { return };
    assert_eq!(read(std::iter::once(wire)), read(wire.chunks(usize::from(*cut).max(1))));
});
