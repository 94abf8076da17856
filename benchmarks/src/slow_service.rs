//! A service that does so much at once and no more: what is asked beyond waits, and is done even when nobody waits
//! for it any more.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A running service, until it is dropped.
#[derive(Debug)]
pub struct SlowService {
    /// Where it listens.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for SlowService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Starts one that does `places` requests at once, for `work` each.
///
/// # Errors
/// There is no free port.
pub async fn start(places: usize, work: Duration) -> Result<SlowService> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, places) = (listener.local_addr()?, Arc::new(Semaphore::new(places)));
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&places), work));
        }
    });
    Ok(SlowService { address, serving })
}

async fn serve(mut stream: TcpStream, places: Arc<Semaphore>, work: Duration) {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(1..) => {}
                _ => return,
            }
        }
        let Ok(place) = places.acquire().await else { return };
        tokio::time::sleep(work).await;
        drop(place);
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}
