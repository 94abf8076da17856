//! HTTP/1.1 as RFC 9112 demands it: what a connection is used for, and when it ends.

use super::mesh::{Mesh, live};
use super::recorder::Recorder;
use super::wire::until_closed;

/// (what, what is sent, statuses in order, what the answers must and must not contain; a status with its blanks, for
/// three digits alone also stand in request ids)
const CASES: [(&str, &str, &[u16], &str, &str); 15] = [
    (
        "close is obeyed",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &[200],
        "connection: close",
        "keep-alive",
    ),
    (
        "close in a list, in capitals",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
        &[200],
        "",
        "x:",
    ),
    ("HTTP/1.0 closes", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", &[200], "HTTP/1.", "chunked"),
    (
        "HTTP/1.0 keeps alive when asked",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
        &[200, 200],
        "keep-alive",
        "chunked",
    ),
    ("HTTP/1.0 without a host", "GET / HTTP/1.0\r\n\r\n", &[200], "", " 400 "),
    (
        "pipelined requests are answered in order",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /../ HTTP/1.0\r\nHost: a\r\n\r\n",
        &[200, 400],
        "",
        "",
    ),
    (
        "a body is not the next request",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        &[200, 200],
        "",
        " 400 ",
    ),
    (
        "a chunked body is not the next request",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
        &[200, 200],
        "",
        " 400 ",
    ),
    (
        "HEAD has no body",
        "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &[200],
        "content-length: 2",
        "\r\n\r\nok",
    ),
    (
        "100-continue is said once",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        &[200],
        "",
        " 417 ",
    ),
    ("an empty line before a request", "\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n", &[200], "", " 400 "),
    (
        "an absolute target",
        "GET http://a/x HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        &[200],
        "",
        " 400 ",
    ),
    ("an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &[200], "", " 400 "),
    (
        "blanks around a value",
        "GET / HTTP/1.1\r\nHost: \t a \t\r\nConnection: close\r\n\r\n",
        &[200],
        "",
        " 400 ",
    ),
    (
        "the asterisk for OPTIONS",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &[200],
        "",
        " 400 ",
    ),
];

#[tokio::test]
async fn connections_are_used_and_ended_as_the_specification_says() {
    let origin = Recorder::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    for (what, sent, codes, must, never) in CASES {
        let answered = until_closed(mesh.address, sent).await;
        let heads = answered.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse::<u16>().ok());
        let final_ones: Vec<u16> = heads.filter(|code| *code >= 200).collect();
        assert_eq!(final_ones, codes, "{what}: {answered}");
        assert!(
            answered.contains(must) && (never.is_empty() || !answered.contains(never)),
            "{what}: {answered}"
        );
    }
    assert!(
        origin.take().iter().all(|seen| seen.contains(" HTTP/1.1\r\n")),
        "this proxy speaks its own version"
    );
}
