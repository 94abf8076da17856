use super::*;
use proptest::prelude::*;

fn fault(wire: &[u8]) -> Option<Fault> {
    let mut framing = Framing::new(bounds());
    framing.read(wire);
    framing.fault().map(|(fault, _)| fault)
}

fn bounds() -> Bounds {
    Bounds { head_bytes: 4_096, line_bytes: 200, fields: 20, http2: crate::settings::Http2::default() }
}

#[test]
fn ambiguous_requests_are_found() {
    let both = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-encoding: chunked\r\n\r\n";
    let swapped = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nCONTENT-LENGTH: 3\r\n\r\n";
    assert_eq!((fault(both), fault(swapped)), (Some(Fault::TwoLengths), Some(Fault::TwoLengths)));
    for value in ["1\r\nContent-Length: 2", "+1", "1, 2", "", "99999999999999999999"] {
        let wire = format!("POST / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
        assert_eq!(fault(wire.as_bytes()), Some(Fault::ContentLength), "{value}");
    }
    for value in ["gzip, chunked", "xchunked", "chunked, chunked", "identity", "chunked;a=b"] {
        let wire = format!("POST / HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n");
        assert_eq!(fault(wire.as_bytes()), Some(Fault::TransferEncoding), "{value}");
    }
    for line in
        ["GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "\nGET"]
    {
        assert_eq!(fault(line.as_bytes()), Some(Fault::LineEnd), "{line:?}");
    }
    for line in [
        "GET /\0 HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nA: \x01\r\n",
        "GET /#a HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
    ] {
        assert_eq!(fault(line.as_bytes()), Some(Fault::Byte), "{line:?}");
    }
    for body in ["5 \r\n", "0x5\r\n", "\r\n", ";a\r\n", "8000000000000000\r\n", "1\r\nab\r\n", "1\r\na0\r\n"]
    {
        let wire = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(fault(wire.as_bytes()), Some(Fault::Chunk), "{body:?}");
    }
    let long_extension =
        format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\n", "e".repeat(300));
    assert_eq!(fault(long_extension.as_bytes()), Some(Fault::Chunk));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(21));
    assert_eq!(fault(many.as_bytes()), Some(Fault::TooManyFields));
    let far = format!("GET /{} HTTP/1.1\r\n", "a".repeat(300));
    assert_eq!(fault(far.as_bytes()), Some(Fault::TargetTooLong));
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(5_000));
    assert_eq!(fault(long.as_bytes()), Some(Fault::HeadTooLarge));
}

#[test]
fn a_fault_concerns_its_own_request_and_those_after_it() {
    let read = |wire: &str| {
        let mut framing = Framing::new(bounds());
        framing.read(wire.as_bytes());
        framing.fault()
    };
    let fine = "GET / HTTP/1.1\r\n\r\n";
    assert_eq!(read(&format!("{fine}{fine}GET /\n")), Some((Fault::LineEnd, 2)));
    let chunked = format!("{fine}PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab");
    assert_eq!(read(&format!("{chunked}\r\n")), Some((Fault::Chunk, 1)));
}

#[test]
fn http2_is_left_to_its_frames() {
    assert_eq!(fault(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"), None);
}

/// Bodies that look like heads, so that losing count of them would be seen.
const TRICKY: &str = "Content-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n";

proptest! {
    #[test]
    fn heads_are_followed_over_bodies_however_the_bytes_are_cut(
        kinds in proptest::collection::vec(0u8..3, 1..6), cut in 1usize..40
    ) {
        let mut wire = String::new();
        for kind in &kinds {
            match kind {
                0 => wire.push_str("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                1 => wire.push_str(&format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{TRICKY}", TRICKY.len())),
                _ => wire.push_str(&format!(
                    "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n{:x};ext=1\r\n{TRICKY}\r\n0\r\nX: y\r\n\r\n",
                    TRICKY.len()
                )),
            }
        }
        let mut framing = Framing::new(bounds());
        wire.as_bytes().chunks(cut).for_each(|piece| framing.read(piece));
        prop_assert_eq!(framing.fault(), None);
        prop_assert_eq!(framing.in_head(), (false, kinds.len() as u64));
    }
}
