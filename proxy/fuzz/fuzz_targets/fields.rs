//! What gRPC says of its time, and how a client's bytes stand in a log: no line, no terminal, no reader misled.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use proxy::middleware::grpc::{GRPC_TIMEOUT, is_grpc, set_timeout, timeout};
use proxy::observability::access_log::escape;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut map = HeaderMap::new();
        map.insert(http::header::CONTENT_TYPE, value.clone());
        let _ = is_grpc(&map);
        map.insert(GRPC_TIMEOUT, value);
        if let Some(said) = timeout(&map) {
            set_timeout(&mut map, said);
            assert!(timeout(&map).is_some_and(|again| again <= said), "nobody gets more time than was said");
        }
    }
    let mut json = vec![b'"'];
    escape::json(bytes, &mut json);
    json.push(b'"');
    assert!(json.is_ascii() && serde_json::from_slice::<String>(&json).is_ok());
    for quoted in [false, true] {
        let mut text = Vec::new();
        escape::text(bytes, quoted, &mut text);
        assert!(text.iter().all(|byte| byte.is_ascii_graphic() || (quoted && *byte == b' ')));
    }
});
