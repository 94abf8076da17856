//! What endpoints answer: responses that end in two ways never reach a client, and their connections
//! are never used again; sound ones, trailers included, give their connection back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::mesh::{Mesh, live};
use super::wire::{get, status};

/// Answers every request on a connection with these bytes; also counts its connections.
async fn scripted(answer: &'static str) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 4_096];
                while stream.read(&mut head).await.is_ok_and(|n| n > 0) {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_response_that_ends_in_two_ways_is_502_and_its_connection_is_gone() {
    let unsound = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    ];
    for answer in unsound {
        let (address, connections) = scripted(answer).await;
        let mesh = Mesh::start(live(&[address]));
        for asked in 1..=3 {
            let told = get(mesh.address, "/", "").await;
            assert_eq!(status(&told), 502, "{answer:?} {told:?}");
            assert!(!told.contains("hel"), "{answer:?} {told:?}");
            assert_eq!(connections.load(Ordering::SeqCst), asked, "{answer:?}: a connection is used again");
        }
    }
}

#[tokio::test]
async fn a_response_with_trailers_gives_its_connection_back() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    let (address, connections) = scripted(answer).await;
    let mesh = Mesh::start(live(&[address]));
    for _ in 0..6 {
        let told = get(mesh.address, "/", "").await;
        assert_eq!(status(&told), 200, "{told:?}");
        assert!(told.contains("hello"), "{told:?}");
    }
    let most = super::mesh::WORKERS;
    assert!(connections.load(Ordering::SeqCst) <= most, "{connections:?} connections for 6 requests");
}

#[tokio::test]
async fn what_an_endpoint_says_unasked_is_nobodys_answer() {
    let more =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nyourHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
    let (address, connections) = scripted(more).await;
    let mesh = Mesh::start(live(&[address]));
    for asked in 1..=4 {
        let told = get(mesh.address, "/", "").await;
        assert!(told.ends_with("\r\n\r\nyour"), "{told:?}");
        assert_eq!(connections.load(Ordering::SeqCst), asked, "a connection is used again");
    }
}

#[tokio::test]
async fn interim_responses_are_passed_over_and_not_for_ever() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let two =
        format!("{hint}HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").leak();
    let mesh = Mesh::start(live(&[scripted(two).await.0]));
    let told = get(mesh.address, "/", "").await;
    assert!(status(&told) == 200 && told.ends_with("ok") && !told.contains("Link"), "{told:?}");
    let many = format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", hint.repeat(17)).leak();
    let mesh = Mesh::start(live(&[scripted(many).await.0]));
    assert_eq!(status(&get(mesh.address, "/", "").await), 502);
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_cut_off_at_the_client_too() {
    let cut = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for answer in cut {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mesh = Mesh::start(live(&[listener.local_addr().unwrap()]));
        let endpoint = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _head = stream.read(&mut [0; 4_096]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (told, ()) = tokio::join!(get(mesh.address, "/", ""), endpoint);
        // Nothing, where the end came before anything was written.
        let begun = told.is_empty() || status(&told) == 200 && told.contains("hello");
        assert!(begun && !told.ends_with("0\r\n\r\n"), "{answer:?}: {told:?}");
    }
}

/// A client that does not read while it sends is not to be waited for by the endpoint that has answered already.
#[tokio::test]
async fn an_upload_goes_on_while_its_response_is_on_its_way() {
    const UPLOAD: usize = 4 << 20;
    const ANSWER: usize = 16 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mesh = Mesh::start(live(&[listener.local_addr().unwrap()]));
    let endpoint = async {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reads, mut writes) = stream.into_split();
        let answering = tokio::spawn(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n");
            writes.write_all(head.as_bytes()).await.unwrap();
            writes.write_all(&vec![b'a'; ANSWER]).await.unwrap();
            writes
        });
        let mut got = Vec::new();
        while !got.ends_with(b"over") {
            assert!(reads.read_buf(&mut got).await.unwrap() > 0, "the request ended early");
        }
        answering.await.unwrap()
    };
    let client = async {
        let mut stream = tokio::net::TcpStream::connect(mesh.address).await.unwrap();
        let head =
            format!("POST / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {UPLOAD}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut body = vec![b'u'; UPLOAD];
        body.splice(UPLOAD - 4.., *b"over");
        stream.write_all(&body).await.unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        answer.len()
    };
    let both = async { tokio::join!(client, endpoint) };
    let (read, _kept) =
        tokio::time::timeout(super::wire::PATIENCE, both).await.expect("they wait for each other");
    assert!(read > ANSWER, "{read} bytes of the response");
}
