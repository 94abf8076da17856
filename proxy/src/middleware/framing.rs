//! Whether an HTTP/1.1 request says unambiguously where it ends, read beside the HTTP library.
//!
//! The library resolves some ambiguities silently (it drops `Content-Length` beside
//! `Transfer-Encoding`, and takes any coding list that ends in `chunked`). Such requests are how
//! one is smuggled past a proxy, so they are refused here by what was on the wire. This reader
//! follows heads and bodies as they pass and keeps at most one short line.

use std::mem;

/// Of a line only so much is kept; the fields that matter here are shorter.
const MAX_LINE_BYTES: usize = 256;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Both ways to say where the body ends.
    #[error("Content-Length and Transfer-Encoding together")]
    TwoLengths,
    /// No number, or several that differ.
    #[error("an impossible Content-Length")]
    ContentLength,
    /// Anything but `chunked`, once.
    #[error("a Transfer-Encoding other than chunked")]
    TransferEncoding,
    /// A chunk without a size.
    #[error("a chunk without a size")]
    Chunk,
    /// Larger than the configured bound.
    #[error("a head that is too large")]
    HeadTooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in a request line.
    RequestLine,
    /// In the header fields.
    Fields,
    /// In a body (or a chunk's data with its line end) of so many more bytes.
    Body { left: u64, chunked: bool },
    /// In a chunk's size line.
    ChunkSize,
    /// After the last chunk.
    Trailers,
    /// HTTP/2, or a fault was found: nothing more is read.
    Off,
}

/// See the module.
#[derive(Debug)]
pub struct Framing {
    state: State,
    line: Vec<u8>,
    line_bytes: usize,
    head_bytes: usize,
    max_head_bytes: usize,
    content_length: Option<u64>,
    chunked: bool,
    heads: u64,
    fault: Option<Fault>,
}

impl Framing {
    /// For one connection.
    #[must_use]
    pub fn new(max_head_bytes: usize) -> Self {
        Self {
            state: State::RequestLine,
            line: Vec::new(),
            line_bytes: 0,
            head_bytes: 0,
            max_head_bytes,
            content_length: None,
            chunked: false,
            heads: 0,
            fault: None,
        }
    }

    /// What was found wrong so far. It concerns some request already read from this connection.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether a head has begun and not ended; and how many have ended.
    #[must_use]
    pub fn in_head(&self) -> (bool, u64) {
        let begun = self.state == State::Fields || (self.state == State::RequestLine && self.line_bytes > 0);
        (begun, self.heads)
    }

    /// Reads what came from the client, in order.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Off => return,
                State::Body { left, chunked } => self.skip_body(bytes, left, chunked),
                _ => match self.read_line(bytes) {
                    Ok(rest) => rest,
                    Err(fault) => {
                        self.fault = Some(fault);
                        self.state = State::Off;
                        return;
                    }
                },
            };
        }
    }

    fn skip_body<'b>(&mut self, bytes: &'b [u8], left: u64, chunked: bool) -> &'b [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - skipped as u64;
        self.state = match (left, chunked) {
            (0, false) => State::RequestLine,
            (0, true) => State::ChunkSize,
            _ => State::Body { left, chunked },
        };
        bytes.get(skipped..).unwrap_or_default()
    }

    fn read_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        let end = memchr::memchr(b'\n', bytes);
        let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or(part));
        self.line_bytes += part.len();
        self.head_bytes += part.len();
        if self.head_bytes > self.max_head_bytes {
            return Err(Fault::HeadTooLarge);
        }
        if end.is_some() {
            let mut line = mem::take(&mut self.line);
            let whole = self.line_bytes <= MAX_LINE_BYTES;
            self.line_bytes = 0;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            self.end_line(text.strip_suffix(b"\r").unwrap_or(text), whole)?;
            line.clear();
            self.line = line;
        }
        Ok(rest)
    }

    fn end_line(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        match self.state {
            // Empty lines before a request are allowed (RFC 9112 section 2.2).
            State::RequestLine if line.is_empty() => self.head_bytes = 0,
            State::RequestLine => {
                self.state = if line == HTTP2_PREFACE { State::Off } else { State::Fields };
            }
            State::Fields if line.is_empty() => self.end_head(),
            State::Fields => self.field(line, whole)?,
            State::ChunkSize => self.chunk_size(line)?,
            State::Trailers if line.is_empty() => {
                self.state = State::RequestLine;
                self.head_bytes = 0;
            }
            State::Trailers | State::Body { .. } | State::Off => {}
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| whole).ok_or(Fault::ContentLength)?;
            if self.content_length.is_some_and(|other| other != length) {
                return Err(Fault::ContentLength);
            }
            self.content_length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::TransferEncoding);
            }
            self.chunked = true;
        }
        if self.chunked && self.content_length.is_some() { Err(Fault::TwoLengths) } else { Ok(()) }
    }

    fn end_head(&mut self) {
        self.heads += 1;
        self.head_bytes = 0;
        let length = self.content_length.take().unwrap_or(0);
        self.state = match (mem::take(&mut self.chunked), length) {
            (true, _) => State::ChunkSize,
            (false, 0) => State::RequestLine,
            (false, left) => State::Body { left, chunked: false },
        };
    }

    fn chunk_size(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.head_bytes = 0;
        let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        self.state = match number(digits, 16).ok_or(Fault::Chunk)? {
            0 => State::Trailers,
            // The data's own line end goes with it.
            size => State::Body { left: size.saturating_add(2), chunked: true },
        };
        Ok(())
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let all_digits = digits.iter().all(|b| char::from(*b).is_digit(radix));
    let text = std::str::from_utf8(digits).ok().filter(|_| all_digits)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(wire: &[u8]) -> Option<Fault> {
        let mut framing = Framing::new(4_096);
        framing.read(wire);
        framing.fault()
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
        for value in ["gzip, chunked", "xchunked", "chunked, chunked", "identity", "\x0bchunked"] {
            let wire = format!("POST / HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n");
            assert_eq!(fault(wire.as_bytes()), Some(Fault::TransferEncoding), "{value}");
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(5_000));
        assert_eq!(fault(long.as_bytes()), Some(Fault::HeadTooLarge));
    }

    #[test]
    fn http2_is_left_alone() {
        assert_eq!(fault(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nContent-Length: x\r\n"), None);
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
            let mut framing = Framing::new(4_096);
            wire.as_bytes().chunks(cut).for_each(|piece| framing.read(piece));
            prop_assert_eq!(framing.fault(), None);
            prop_assert_eq!(framing.in_head(), (false, kinds.len() as u64));
        }
    }
}
