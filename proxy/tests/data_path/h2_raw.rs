//! HTTP/2 by hand: frames as bytes, and what the other end says to them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITISED: u8 = 32;
pub const BOTH: u8 = END_STREAM | END_HEADERS;
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Nothing on loopback takes longer, unless nothing comes.
const QUIET: Duration = Duration::from_millis(700);

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// One field: a literal without indexing, a new name, no Huffman code.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn integer(to: &mut Vec<u8>, mut number: usize) {
    if number < 127 {
        return to.push(u8::try_from(number).unwrap());
    }
    to.push(127);
    number -= 127;
    while number >= 128 {
        to.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    to.push(u8::try_from(number).unwrap());
}

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

pub const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/status/200"), (":authority", "a")];
pub const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")];

/// A request's head with more fields.
pub fn head(stream: u32, flags: u8, of: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(&[of, more].concat()))
}

pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub struct Raw {
    pub stream: TcpStream,
    pub closed: bool,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), closed: false }
    }

    /// Preface and settings said both ways.
    pub async fn handshake(address: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings), &frame(SETTINGS, ACK, 0, &[])].concat()).await;
        while raw.next().await.is_some_and(|got| (got.kind, got.flags) != (SETTINGS, ACK)) {}
        raw
    }

    /// Whoever was cut off already cannot send.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(Duration::from_secs(5), self.stream.write_all(bytes)).await;
    }

    /// The next frame; `None` when the connection is closed, or quiet.
    pub async fn next(&mut self) -> Option<Got> {
        let mut head = [0; 9];
        match timeout(QUIET, self.stream.read_exact(&mut head)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => {
                self.closed = true;
                return None;
            }
            Err(_) => return None,
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if timeout(QUIET, self.stream.read_exact(&mut payload)).await.map_or(true, |read| read.is_err()) {
            self.closed = true;
            return None;
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Got { kind: head[3], flags: head[4], stream, payload })
    }

    /// All frames until it is closed or quiet.
    pub async fn rest(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while let Some(got) = self.next().await {
            all.push(got);
        }
        all
    }
}

impl Got {
    /// The code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}
