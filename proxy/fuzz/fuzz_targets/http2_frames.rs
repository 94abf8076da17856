//! HTTP/2's frames, read and written: the same is found however the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::middleware::http2_frames::Http2Frames;
use proxy::settings::Http2;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, wire)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).max(1);
    let (mut whole, mut pieces) = (Http2Frames::new(Http2::default(), 8_192), Http2Frames::new(Http2::default(), 8_192));
    let expected = whole.read(wire);
    assert_eq!(wire.chunks(cut).try_for_each(|piece| pieces.read(piece)), expected);
    whole.wrote(wire);
    wire.chunks(cut).for_each(|piece| pieces.wrote(piece));
    assert_eq!((whole.in_head(), whole.carried(), whole.goodbye()), (pieces.in_head(), pieces.carried(), pieces.goodbye()));
});
