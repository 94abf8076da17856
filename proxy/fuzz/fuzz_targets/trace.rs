//! W3C trace context and B3, whatever they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::observability::trace::{b3, traceparent, tracestate};

fuzz_target!(|bytes: &[u8]| {
    if let Some(context) = traceparent::parse(bytes) {
        assert!(traceparent::parse(&traceparent::format(&context)).is_some());
    }
    let _ = b3::parse_single(bytes);
    let _ = tracestate::join(bytes.split(|byte| *byte == b'\n'));
});
