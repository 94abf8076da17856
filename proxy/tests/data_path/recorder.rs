//! An origin that keeps the bytes of each request as they came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub struct Recorder {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let shared = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        recorder
    }

    /// What came since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            while let Some(length) = whole(&bytes) {
                let request: Vec<u8> = bytes.drain(..length).collect();
                self.requests.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Lightsout-Inside: secret\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
        if !bytes.is_empty() {
            self.requests.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

/// The first request's length, read as a simple server reads it: `Transfer-Encoding` before `Content-Length`.
fn whole(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let head = text.find("\r\n\r\n")? + 4;
    let fields = &text[..head];
    if fields.contains("\r\ntransfer-encoding:") {
        return end_of_chunks(bytes, head);
    }
    let declared = fields.split("\r\ncontent-length:").nth(1);
    let length: usize = declared.map_or(0, |rest| rest.lines().next().unwrap().trim().parse().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

fn end_of_chunks(bytes: &[u8], mut at: usize) -> Option<usize> {
    let line_end =
        |at: usize| bytes.get(at..)?.windows(2).position(|two| two == b"\r\n").map(|found| at + found + 2);
    loop {
        let end = line_end(at)?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..end - 2]).unwrap(), 16).unwrap();
        at = end + if size == 0 { 0 } else { size + 2 };
        if size == 0 {
            break;
        }
    }
    loop {
        let (start, end) = (at, line_end(at)?);
        at = end;
        if end - start == 2 {
            return Some(end);
        }
    }
}
