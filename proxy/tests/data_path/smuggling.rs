//! Request smuggling, by its families: raw bytes in, and the bytes that the origin really received.
//!
//! What is refused must not reach the origin at all. What is passed on must be framed in one way only, and be as
//! many requests as the client asked; `/pwned` is a request that no client has sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::h2_raw::{BOTH, DATA, END_HEADERS, END_STREAM, GET, POST, Raw, frame, head};
use super::mesh::{Mesh, live, with_settings};
use super::recorder::Recorder;
use super::wire::{status, until_closed};

const PWNED: &str = "GET /pwned HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED_END: &str = "0\r\n\r\nGET /pwned HTTP/1.1\r\nHost: a\r\n\r\n";

/// Fields of a POST, after its Host, and what follows the head: all of them refused.
fn refused_posts() -> Vec<(String, &'static str)> {
    let mut cases: Vec<(String, &'static str)> = Vec::new();
    // CL.TE and TE.CL: both lengths, in both orders, as each other reader would like it.
    for length in ["0", "4", "6", "44"] {
        cases.push((format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), CHUNKED_END));
        cases.push((format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"), CHUNKED_END));
    }
    // TE.TE: codings that one reader takes for chunked and another does not.
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: x\nTransfer-Encoding: chunked",
        "X: x\rTransfer-Encoding: chunked",
        "Transfer-Encoding\r\n : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: cow",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunk\u{e9}d",
        "Transfer\u{2010}Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: ch\x7funked",
        "Content_Length: 33",
        "Transfer Encoding: chunked",
        ": chunked",
        "Transfer-Encoding",
    ] {
        cases.push((coding.to_owned(), CHUNKED_END));
        cases.push((format!("{coding}\r\nContent-Length: 5"), CHUNKED_END));
    }
    // CL.CL and lengths that are no numbers.
    for length in [
        "1\r\nContent-Length: 2",
        "5\r\nContent-Length: 5",
        "5, 5",
        "5,6",
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5;",
        "5.0",
        "1e1",
        "",
        "five",
        "\x0b5",
        "99999999999999999999",
        "18446744073709551616",
        "\u{ff15}",
        "5\0",
        "\"5\"",
        "5\r\n 6",
        "5\n",
        "5\r",
    ] {
        cases.push((format!("Content-Length: {length}"), PWNED));
    }
    // Upgrades that would end in bytes which nobody reads as HTTP.
    cases.push(("Host: b\r\nContent-Length: 0".to_owned(), PWNED));
    cases
}

/// Chunked bodies that readers cut in different ways.
const REFUSED_CHUNKS: [&str; 24] = [
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "8000000000000000\r\nhello\r\n0\r\n\r\n",
    "5;a=\n\r\nhello\r\n0\r\n\r\n",
    "5;\nhello\r\n0\r\n\r\n",
    "5;a\0\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\nX: y\n\r\n",
    "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    "5,5\r\nhello\r\n0\r\n\r\n",
];

/// Heads that are refused, whole.
const REFUSED_HEADS: [&str; 34] = [
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\rHost: a\r\r",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n",
    "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\x0b\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
    "GET /\r\n\r\n",
    "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /../pwned HTTP/1.1\r\nHost: a\r\n\r\n",
];

async fn mesh() -> (Recorder, Mesh) {
    let origin = Recorder::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    (origin, mesh)
}

/// Sends, and reads until it is closed or silent: some of these a server may wait for more of.
async fn answer(mesh: &Mesh, bytes: &str) -> String {
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_millis(900), stream.read(&mut piece)).await {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_framed_once(request: &str) -> bool {
    let head = request.split("\r\n\r\n").next().unwrap().to_lowercase();
    let count = |name: &str| head.matches(&format!("\r\n{name}:")).count();
    count("content-length") + count("transfer-encoding") <= 1 && count("host") == 1
}

#[tokio::test]
async fn requests_whose_end_is_in_doubt_are_refused_and_never_reach_the_origin() {
    let (origin, mesh) = mesh().await;
    let posts = refused_posts();
    let mut sent: Vec<String> = posts
        .iter()
        .map(|(fields, rest)| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{rest}"))
        .collect();
    sent.extend(REFUSED_HEADS.map(|head| format!("{head}{PWNED}")));
    assert!(sent.len() >= 120, "{}", sent.len());
    let mut wrong = Vec::new();
    for bytes in &sent {
        let answered = answer(&mesh, bytes).await;
        let seen = origin.take();
        let refused = matches!(status(&answered), 400 | 414 | 431 | 501 | 505);
        if !refused || !seen.is_empty() || answered.matches("HTTP/1.1 ").count() != 1 {
            wrong.push(format!("{bytes:?}: answered {answered:?}, the origin saw {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), sent.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_chunked_body_in_doubt_ends_its_connection_and_no_second_request_comes_of_it() {
    let (origin, mesh) = mesh().await;
    for body in REFUSED_CHUNKS {
        let answered = answer(
            &mesh,
            &format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{PWNED}"),
        )
        .await;
        let seen = origin.take();
        assert!(!answered.contains("200 OK"), "{body:?} {answered} {seen:?}");
        assert!(answered.is_empty() || status(&answered) == 400, "{body:?} {answered}");
        // Its head may have gone on before the fault came; its end may not, nor anything after it.
        assert!(
            seen.iter().all(|seen| !seen.contains("/pwned") && !seen.ends_with("0\r\n\r\n")),
            "{body:?} {seen:?}"
        );
    }
}

#[tokio::test]
async fn what_is_passed_on_is_framed_anew_and_once() {
    let (origin, mesh) = mesh().await;
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
    for (bytes, must, never) in [
        (format!("{chunked}\r\n5;ext=\"x\"\r\nhello\r\n0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n", "ext"),
        (format!("{chunked}\r\n00005\r\nhello\r\n0\r\n\r\n"), "5\r\nhello\r\n", "\r\n00005\r\n"),
        (format!("{chunked}Trailer: content-length, x-a\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\nX-A: b\r\n\r\n"), "hello", "ength: 9"),
        ("POST / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length, host\r\nContent-Length: 5\r\n\r\nhello".into(), "content-length: 5", "close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-forwarded-for\r\n\r\n".into(), "x-forwarded-for: 127.0.0.1", "close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n".into(), "x-forwarded-for: 127.0.0.1", "6.6.6.6"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Lightsout-Shadow: true\r\n\r\n".into(), "GET / ", "ightsout"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".into(), "GET / ", "h2c"),
        ("GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), "host: b\r\n", "host: a\r\n"),
        ("GET /a/./%2e%2e/b//c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), "GET /b/c ", "%2"),
        ("GET / HTTP/1.0\r\n\r\n".into(), "host: ", "HTTP/1.0"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(), "GET / ", "pwned"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{PWNED}", PWNED.len()), "GET / ", "no such"),
        (format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n{PWNED}"), "POST / ", "pwned"),
    ] {
        let answered = until_closed(mesh.address, &bytes).await;
        let seen = origin.take();
        assert_eq!((status(&answered), seen.len()), (200, 1), "{bytes:?} {answered} {seen:?}");
        assert!(seen[0].contains(must) && !seen[0].contains(never) && is_framed_once(&seen[0]), "{bytes:?} {}", seen[0]);
        assert!(!answered.to_lowercase().contains("lightsout-inside"), "{answered}");
    }
}

#[tokio::test]
async fn http2_cannot_be_written_so_that_http1_means_something_else() {
    let (origin, mesh) = mesh().await;
    let smuggled = format!("0\r\n\r\n{PWNED}");
    let with = |fields: &[(&str, &str)]| head(1, END_HEADERS, &POST, fields);
    let only = |path: &str, method: &str, authority: &str| {
        head(
            1,
            END_HEADERS,
            &[],
            &[(":method", method), (":scheme", "http"), (":path", path), (":authority", authority)],
        )
    };
    let heads = [
        with(&[("content-length", "0")]),
        with(&[("content-length", "4")]),
        with(&[("content-length", "+5")]),
        with(&[("content-length", "5"), ("content-length", "44")]),
        with(&[("content-length", "44, 44")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("transfer-encoding", "chunked"), ("content-length", "4")]),
        with(&[("connection", "transfer-encoding"), ("x", "y")]),
        with(&[("x", "y\r\ntransfer-encoding: chunked")]),
        with(&[("x", "y\ntransfer-encoding: chunked")]),
        with(&[("x", "y\rz")]),
        with(&[("x: y\r\ntransfer-encoding", "chunked")]),
        with(&[("transfer-encoding: chunked\r\nx", "y")]),
        with(&[("transfer-encoding ", "chunked")]),
        with(&[("transfer_encoding", "chunked")]),
        with(&[("x:", "y")]),
        with(&[("", "y")]),
        with(&[("x", " y")]),
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "a")]),
        with(&[("upgrade", "h2c")]),
        with(&[("expect", "100-continue\r\nx: y")]),
        with(&[(":path", "/pwned")]),
        only("/ HTTP/1.1\r\nhost: a\r\n\r\nGET /pwned", "POST", "a"),
        only("/\r\n/pwned", "POST", "a"),
        only("/ /pwned", "POST", "a"),
        only("pwned", "POST", "a"),
        only("http://b/pwned", "POST", "a"),
        only("/%2e%2e/pwned", "POST", "a"),
        only("/", "GET /pwned HTTP/1.1\r\nhost: a\r\n\r\nPOST", "a"),
        only("/", "POST /pwned", "a"),
        only("/", "", "a"),
        only("/", "POST", "a\r\nx: y"),
        only("/", "POST", "u@a"),
        only("/", "POST", "a/pwned"),
        only("/", "POST", "a:99999"),
        only("/", "CONNECT", "a"),
    ];
    for one in &heads {
        let mut raw = Raw::handshake(mesh.address, &[]).await;
        raw.send(&[&one[..], &frame(DATA, END_STREAM, 1, smuggled.as_bytes())].concat()).await;
        let got = raw.rest().await;
        let seen = origin.take();
        // hyper may have begun to send before DATA showed the length to be a lie; it never ends that request.
        let partial = |seen: &String| seen.contains("content-length:") && !seen.contains("pwned");
        let name = String::from_utf8_lossy(one);
        assert!(seen.iter().all(partial), "{name:?} {seen:?}");
        // :status 200 is index 8 of HPACK's static table.
        assert!(
            !got.iter().any(|got| got.kind == 1 && got.payload.first() == Some(&0x88)),
            "{name:?} {got:?}"
        );
    }
    let mut raw = Raw::handshake(mesh.address, &[]).await;
    raw.send(&[head(1, END_HEADERS, &POST, &[]), frame(DATA, END_STREAM, 1, smuggled.as_bytes())].concat())
        .await;
    raw.send(&head(3, BOTH, &GET, &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])).await;
    raw.rest().await;
    let seen = origin.take();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|seen| is_framed_once(seen)), "{seen:?}");
    assert!(seen.iter().any(|seen| seen.contains("cookie: a=1; b=2")), "{seen:?}");
}

#[tokio::test]
async fn bounds_of_a_request_are_answered_by_their_own_statuses() {
    let origin = Recorder::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |settings| {
        settings.server.edge.max_body_bytes = Some(10);
        settings.server.edge.body_timeout = Duration::from_millis(200);
    });
    let mesh = Mesh::start(live);
    let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
    for (bytes, code) in [
        (post("Content-Length: 11", "hello hello"), 413),
        (post("Transfer-Encoding: chunked", "b\r\nhello hello\r\n0\r\n\r\n"), 413),
        (post("Content-Length: 9", "slow"), 408),
        (post("Transfer-Encoding: chunked", "4\r\nslow\r\n"), 408),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(17_000)), 431),
    ] {
        let answered = until_closed(mesh.address, &bytes).await;
        assert_eq!(status(&answered), code, "{:.80} {answered}", bytes);
        assert!(origin.take().iter().all(|seen| !seen.contains("hello hello")));
    }
    assert_eq!(
        status(
            &until_closed(mesh.address, post("Connection: close\r\nContent-Length: 10", "0123456789")).await
        ),
        200
    );
}

#[tokio::test]
async fn pipelined_requests_before_a_faulty_one_are_served() {
    let (origin, mesh) = mesh().await;
    let fine = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let answered =
        until_closed(mesh.address, format!("{fine}{fine}GET /b HTTP/1.1\r\nHost: a\n\r\n{PWNED}")).await;
    assert_eq!(
        (answered.matches("200 OK").count(), answered.matches("400 Bad").count()),
        (2, 1),
        "{answered}"
    );
    assert_eq!(origin.take().len(), 2);
}
