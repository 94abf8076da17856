//! The heads of HTTP/2 frames in a stream of bytes that comes in pieces; payloads are skipped.

/// One frame's head (RFC 9113 section 4.1), and its payload's first byte where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of payload.
    pub length: u32,
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// For a padded frame: how much padding.
    pub first: Option<u8>,
}

const HEAD_BYTES: usize = 9;

/// See the module.
#[derive(Debug)]
pub struct FrameHeads {
    /// Bytes to skip before the next head.
    skip: u32,
    head: [u8; HEAD_BYTES + 1],
    filled: usize,
    seen_one: bool,
}

impl FrameHeads {
    /// The first head comes after so many bytes.
    #[must_use]
    pub fn after(skip: u32) -> Self {
        Self { skip, head: [0; HEAD_BYTES + 1], filled: 0, seen_one: false }
    }

    /// Whether not even one head was read.
    #[must_use]
    pub fn is_before_first(&self) -> bool {
        !self.seen_one
    }

    /// Whether a frame has ended and no other begun.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }

    /// The next head in `bytes`, and what follows it; `None` when more is needed.
    pub fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(FrameHead, &'b [u8])> {
        let skipped = bytes.len().min(self.skip as usize);
        self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
        let mut rest = bytes.get(skipped..)?;
        loop {
            let (byte, after) = rest.split_first()?;
            *self.head.get_mut(self.filled)? = *byte;
            self.filled += 1;
            rest = after;
            let [a, b, c, ..] = self.head;
            let length = u32::from_be_bytes([0, a, b, c]);
            if self.filled == HEAD_BYTES + usize::from(length > 0) {
                return Some((self.end(length), rest));
            }
        }
    }

    fn end(&mut self, length: u32) -> FrameHead {
        let [_, _, _, kind, flags, s, t, u, v, first] = self.head;
        self.filled = 0;
        self.seen_one = true;
        self.skip = length.saturating_sub(1);
        let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
        FrameHead { length, kind, flags, stream, first: Some(first).filter(|_| length > 0) }
    }
}
