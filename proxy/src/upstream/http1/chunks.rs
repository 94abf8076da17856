//! A chunked body (RFC 9112 section 7.1), read strictly: lines end in CR LF, sizes are plain hexadecimal, and
//! what may be long is bounded.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status, parse_headers};

use super::fault::Fault;

/// The longest line before a chunk, its extensions included.
const MAX_LINE: usize = 4 * 1_024;
/// Extensions of all chunks of one body: nobody uses them, so a few are enough.
const MAX_EXTENSIONS: usize = 16 * 1_024;
/// The longest trailer section.
const MAX_TRAILERS: usize = 64 * 1_024;
/// Fields in it.
const MAX_FIELDS: usize = 64;
/// Digits of a size; more do not fit.
const MAX_DIGITS: usize = 16;

/// Where in a chunked body its reader is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    at: At,
    extensions: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    End,
}

/// What comes out of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of the body.
    Data(Bytes),
    /// Its end, with trailers if there are any.
    End(Option<HeaderMap>),
}

impl Chunks {
    /// The next piece in `bytes`, which is taken off them; `None`: more has to come first.
    ///
    /// # Errors
    /// [`Fault`]: what is there is no chunked body. Nothing can be read after it.
    pub fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Piece>, Fault> {
        loop {
            match self.at {
                At::Size => match self.size(bytes)? {
                    Some(0) => self.at = At::Trailers,
                    Some(size) => self.at = At::Data(size),
                    None => return Ok(None),
                },
                At::Data(_) if bytes.is_empty() => return Ok(None),
                At::Data(left) => return Ok(Some(self.data(left, bytes))),
                At::DataEnd if bytes.len() < 2 => return Ok(None),
                At::DataEnd if bytes.starts_with(b"\r\n") => {
                    bytes.advance(2);
                    self.at = At::Size;
                }
                At::DataEnd => return Err(Fault::Chunk("a chunk is longer than it says")),
                At::Trailers => return self.trailers(bytes),
                At::End => return Ok(Some(Piece::End(None))),
            }
        }
    }

    fn data(&mut self, left: u64, bytes: &mut BytesMut) -> Piece {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let data = bytes.split_to(most).freeze();
        let left = left.saturating_sub(most as u64);
        self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
        Piece::Data(data)
    }

    /// The size in the line that `bytes` begin with.
    fn size(&mut self, bytes: &mut BytesMut) -> Result<Option<u64>, Fault> {
        let looked = bytes.get(..MAX_LINE).unwrap_or(bytes);
        let Some(end) = memchr::memchr(b'\n', looked) else {
            let too_long = bytes.len() >= MAX_LINE;
            return if too_long { Err(Fault::TooLong("chunk's size")) } else { Ok(None) };
        };
        let line = bytes.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::Chunk("a line that does not end in CR LF"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = line.split_at(digits);
        self.extension(rest)?;
        let text = std::str::from_utf8(size).ok().filter(|size| size.len() <= MAX_DIGITS);
        let size = text.and_then(|size| u64::from_str_radix(size, 16).ok());
        size.map(Some).ok_or(Fault::Chunk("a size that is none"))
    }

    /// What follows a size: nothing, white space that some servers pad with, or an extension, which is dropped.
    fn extension(&mut self, rest: &[u8]) -> Result<(), Fault> {
        let said = rest.trim_ascii_start();
        let fits = said.is_empty() || said.starts_with(b";");
        let printable = rest.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        if !fits || !printable {
            return Err(Fault::Chunk("a size that is none"));
        }
        self.extensions += said.len();
        if self.extensions > MAX_EXTENSIONS { Err(Fault::TooLong("chunk extensions")) } else { Ok(()) }
    }

    fn trailers(&mut self, bytes: &mut BytesMut) -> Result<Option<Piece>, Fault> {
        if bytes.starts_with(b"\r\n") {
            bytes.advance(2);
            self.at = At::End;
            return Ok(Some(Piece::End(None)));
        }
        let mut room = [EMPTY_HEADER; MAX_FIELDS];
        let Status::Complete((end, fields)) = parse_headers(bytes, &mut room)? else {
            let too_long = bytes.len() > MAX_TRAILERS;
            return if too_long { Err(Fault::TooLong("trailer section")) } else { Ok(None) };
        };
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(Fault::Field("a trailer that is none"));
            };
            trailers.append(name, value);
        }
        bytes.advance(end);
        self.at = At::End;
        Ok(Some(Piece::End(Some(trailers))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, or none where it is malformed, read in pieces that end at `cuts`.
    fn read(text: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, Option<HeaderMap>, usize)> {
        let (mut chunks, mut bytes, mut body, mut from) = (Chunks::default(), BytesMut::new(), Vec::new(), 0);
        for to in cuts.iter().map(|cut| cut % (text.len() + 1)).chain([text.len()]) {
            bytes.extend_from_slice(text.get(from..to).unwrap_or_default());
            from = from.max(to);
            while let Some(piece) = chunks.next(&mut bytes).ok()? {
                match piece {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::End(trailers) => return Some((body, trailers, bytes.len() + text.len() - from)),
                }
            }
        }
        None
    }

    #[test]
    fn chunks_and_trailers_are_read_and_what_follows_is_left() {
        let text = b"5\r\nhello\r\nA ;x=y\r\n, world...\r\n0\r\nx-sum: 7\r\n\r\nHTTP";
        let (body, trailers, left) = read(text, &[]).unwrap();
        assert_eq!((&*body, left), (&b"hello, world..."[..], 4));
        assert_eq!(trailers.unwrap()["x-sum"], "7");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for text in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n x: y\r\n\r\n",
        ] {
            assert_eq!(read(text, &[]), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_goes_on_for_ever_is_given_up() {
        let mut chunks = Chunks::default();
        assert!(chunks.next(&mut BytesMut::from(&[b'1'; MAX_LINE][..])).is_err());
        let many = format!("1;{}\r\nx\r\n", "e".repeat(2_000)).repeat(10);
        assert_eq!(read(many.as_bytes(), &[]), None);
        let (mut chunks, mut trailers) = (Chunks::default(), BytesMut::from(&b"0\r\nx: "[..]));
        trailers.extend_from_slice(&[b'y'; MAX_TRAILERS]);
        assert!(chunks.next(&mut trailers).is_err());
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            mut cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let mut text: Vec<u8> = Vec::new();
            for body in &bodies {
                text.extend_from_slice(format!("{:X}\r\n", body.len()).as_bytes());
                text.extend_from_slice(body);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            cuts.iter_mut().for_each(|cut| *cut %= text.len() + 1);
            cuts.sort_unstable();
            prop_assert_eq!(read(&text, &cuts), Some((bodies.concat(), None, 0)));
        }
    }
}
