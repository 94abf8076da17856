//! Whether an HTTP/1.1 request says unambiguously where it ends, read beside the HTTP library.
//!
//! The library resolves some ambiguities silently (it drops `Content-Length` beside
//! `Transfer-Encoding`, and takes any coding list that ends in `chunked`). Such requests are how
//! one is smuggled past a proxy, so they are refused here by what was on the wire. This reader
//! follows heads and bodies as they pass and keeps at most one short line.

use std::mem;

use crate::middleware::http2_frames::Http2Frames;
use crate::settings::Server;

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
    /// More fields than the configured bound.
    #[error("too many header fields")]
    TooManyFields,
    /// A request line longer than the configured bound.
    #[error("a request target that is too long")]
    TargetTooLong,
    /// A line that ends in a bare LF, or has a bare CR in it: what one reader takes for a line end,
    /// another does not.
    #[error("a line that does not end in CR LF")]
    LineEnd,
    /// A control byte, or in the request line one that a target may not have.
    #[error("a forbidden byte in the head")]
    Byte,
    /// HTTP/2: more frames that carry nothing, or more resets, than any client needs; or no SETTINGS at first.
    #[error("a flood of frames")]
    Flood,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in a request line.
    RequestLine,
    /// In the header fields.
    Fields,
    /// In a body (or a chunk's data) of so many more bytes.
    Body { left: u64, chunked: bool },
    /// In a chunk's size line.
    ChunkSize,
    /// At the line end after a chunk's data.
    ChunkEnd,
    /// After the last chunk.
    Trailers,
    /// HTTP/2: frames.
    Http2,
    /// A fault was found: nothing more is read.
    Off,
}

/// See the module.
#[derive(Debug)]
pub struct Framing {
    state: State,
    line: Vec<u8>,
    line_bytes: usize,
    head_bytes: usize,
    fields: usize,
    /// The last byte was a CR of a line that goes on.
    carriage_return: bool,
    bounds: Bounds,
    content_length: Option<u64>,
    chunked: bool,
    heads: u64,
    fault: Option<Fault>,
    http2: Option<Box<Http2Frames>>,
}

/// What a request may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of a head, and of trailers.
    pub head_bytes: usize,
    /// Bytes of a request line beyond its target's bound.
    pub line_bytes: usize,
    /// Fields of a head.
    pub fields: usize,
    /// For HTTP/2.
    pub http2: crate::settings::Http2,
}

/// A method and a version beside the target.
const BESIDE_TARGET_BYTES: usize = 64;

impl From<&Server> for Bounds {
    fn from(server: &Server) -> Self {
        Self {
            head_bytes: server.max_header_bytes,
            line_bytes: server.edge.max_uri_bytes + BESIDE_TARGET_BYTES,
            fields: server.edge.max_headers,
            http2: server.http2,
        }
    }
}

impl Framing {
    /// For one connection.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            state: State::RequestLine,
            line: Vec::new(),
            line_bytes: 0,
            head_bytes: 0,
            fields: 0,
            carriage_return: false,
            bounds,
            content_length: None,
            chunked: false,
            heads: 0,
            fault: None,
            http2: None,
        }
    }

    /// What was found wrong so far, and in which request, counted from 0; what came before it is fine.
    #[must_use]
    pub fn fault(&self) -> Option<(Fault, u64)> {
        self.fault.map(|fault| (fault, self.heads))
    }

    /// The frames, where the client speaks HTTP/2.
    pub fn http2(&mut self) -> Option<&mut Http2Frames> {
        self.http2.as_deref_mut()
    }

    /// Whether a head has begun and not ended; and how many have ended.
    #[must_use]
    pub fn in_head(&self) -> (bool, u64) {
        if let Some(frames) = &self.http2 {
            return frames.in_head();
        }
        let begun = self.state == State::Fields || (self.state == State::RequestLine && self.line_bytes > 0);
        (begun, self.heads)
    }

    /// Reads what came from the client, in order.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let read = match self.state {
                State::Off => return,
                State::Body { left, chunked } => Ok(self.skip_body(bytes, left, chunked)),
                State::Http2 => self.read_frames(bytes),
                _ => self.read_line(bytes),
            };
            bytes = match read {
                Ok(rest) => rest,
                Err(fault) => {
                    // A fault in a body is one of the request whose head was the last to end.
                    self.heads -=
                        u64::from(matches!(self.state, State::ChunkSize | State::ChunkEnd | State::Trailers));
                    self.fault = Some(fault);
                    self.state = State::Off;
                    return;
                }
            };
        }
    }

    fn read_frames<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        let read = self.http2.as_mut().map_or(Ok(()), |frames| frames.read(bytes));
        read.map_or(Err(Fault::Flood), |()| Ok(&[]))
    }

    fn skip_body<'b>(&mut self, bytes: &'b [u8], left: u64, chunked: bool) -> &'b [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - skipped as u64;
        self.state = match (left, chunked) {
            (0, false) => State::RequestLine,
            (0, true) => State::ChunkEnd,
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
        self.check_bytes(part)?;
        if self.state == State::RequestLine && self.line_bytes > self.bounds.line_bytes {
            return Err(Fault::TargetTooLong);
        }
        if self.head_bytes > self.bounds.head_bytes {
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

    /// A part of a line: no control byte, CR only right before LF, and LF only right after CR.
    fn check_bytes(&mut self, part: &[u8]) -> Result<(), Fault> {
        let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
        let (text, returned) = text.strip_suffix(b"\r").map_or((text, false), |text| (text, true));
        let in_line = returned && !ended;
        let earlier = mem::replace(&mut self.carriage_return, in_line);
        // A CR that came before this part must be followed by LF at once.
        if (earlier && part != b"\n") || (ended && !returned && !earlier) {
            return Err(Fault::LineEnd);
        }
        let strict = self.state == State::RequestLine;
        // Without an early end, so that the compiler makes vectors of it.
        let (mut control, mut returns) = (false, false);
        for byte in text {
            control |= (*byte < 0x20 && *byte != b'\t') | (*byte == 0x7f);
            control |= strict & ((*byte >= 0x7f) | (*byte == b'#') | (*byte == b'\t'));
            returns |= *byte == b'\r';
        }
        match (returns, control) {
            (true, _) => Err(Fault::LineEnd),
            (false, true) => Err(Fault::Byte),
            (false, false) => Ok(()),
        }
    }

    fn end_line(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        match self.state {
            // Empty lines before a request are allowed (RFC 9112 section 2.2).
            State::RequestLine if line.is_empty() => self.head_bytes = 0,
            State::RequestLine if line == HTTP2_PREFACE && self.heads == 0 => {
                self.http2 = Some(Box::new(Http2Frames::new(self.bounds.http2, self.bounds.head_bytes)));
                self.state = State::Http2;
            }
            State::RequestLine => self.state = State::Fields,
            State::Fields if line.is_empty() => self.end_head(),
            State::Fields => self.field(line, whole)?,
            State::ChunkSize => self.chunk_size(line, whole)?,
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(Fault::Chunk),
            State::Trailers if line.is_empty() => {
                self.state = State::RequestLine;
                (self.head_bytes, self.fields) = (0, 0);
            }
            State::Trailers => self.count_field()?,
            State::Body { .. } | State::Http2 | State::Off => {}
        }
        Ok(())
    }

    fn count_field(&mut self) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > self.bounds.fields { Err(Fault::TooManyFields) } else { Ok(()) }
    }

    fn field(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        self.count_field()?;
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Ok(());
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| whole).ok_or(Fault::ContentLength)?;
            // Several that agree are refused too, as by Envoy: what passes on must be said once.
            if self.content_length.is_some() {
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
        (self.head_bytes, self.fields) = (0, 0);
        let length = self.content_length.take().unwrap_or(0);
        self.state = match (mem::take(&mut self.chunked), length) {
            (true, _) => State::ChunkSize,
            (false, 0) => State::RequestLine,
            (false, left) => State::Body { left, chunked: false },
        };
    }

    /// Extensions are read over, within one short line, and never passed on.
    fn chunk_size(&mut self, line: &[u8], whole: bool) -> Result<(), Fault> {
        self.head_bytes = 0;
        let digits = match line.iter().position(|b| *b == b';') {
            Some(at) => line.get(..at).unwrap_or_default().trim_ascii_end(),
            None => line,
        };
        let size = number(digits, 16).filter(|size| whole && i64::try_from(*size).is_ok());
        self.state = match size.ok_or(Fault::Chunk)? {
            0 => State::Trailers,
            left => State::Body { left, chunked: true },
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
mod tests;
