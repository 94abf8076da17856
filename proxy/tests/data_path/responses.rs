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
