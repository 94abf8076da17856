//! HTTP/1.1's framing: the same is found however the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::middleware::framing::{Bounds, Framing};
use proxy::settings::Http2;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, wire)) = bytes.split_first() else { return };
    let bounds = Bounds { head_bytes: 8_192, line_bytes: 1_024, fields: 50, http2: Http2::default() };
    let (mut whole, mut pieces) = (Framing::new(bounds), Framing::new(bounds));
    whole.read(wire);
    wire.chunks(usize::from(*cut).max(1)).for_each(|piece| pieces.read(piece));
    assert_eq!(whole.fault().map(|(_, at)| at), pieces.fault().map(|(_, at)| at));
    assert_eq!(whole.in_head(), pieces.in_head());
});
