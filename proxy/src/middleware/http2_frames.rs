//! HTTP/2 frames of one connection, counted beside the HTTP library, which bounds streams and header
//! blocks but not how many frames arrive that carry nothing.
//!
//! A frame costs a few instructions and no memory; the clock is read only when a budget is used up.

use std::time::Instant;

use super::frame_heads::{FrameHead, FrameHeads};
use crate::settings::Http2;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const PROTOCOL_ERROR: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 11;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// After `PRI * HTTP/2.0` and its line end.
const REST_OF_PREFACE: u32 = 8;
/// DATA frames a second of fewer than [`SMALL_BYTES`]: each costs the library more memory than it carries.
const SMALL_FRAMES_PER_SECOND: u32 = 20_000;
const SMALL_BYTES: u32 = 32;
/// Frames that carry nothing which a request explains: its window updates, a priority, a ping.
const FRAMES_PER_REQUEST: u64 = 4;
/// Bytes of a body, either way, that explain one window update. Go's client sends two per 4 KiB.
const BYTES_PER_FRAME: u64 = 1_024;
/// Of so many requests one may be reset beyond the rate.
const REQUESTS_PER_RESET: u64 = 4;
/// A block may be so many times larger on the wire than a header list may be.
const BLOCK_FACTOR: usize = 2;

/// The client floods its connection, or has not said its SETTINGS first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood;

/// A token bucket that looks at the clock only when it is empty.
#[derive(Debug)]
struct Budget {
    left: u64,
    per_second: u32,
    most: u64,
    filled: Instant,
    earned: u64,
}

impl Budget {
    fn new(per_second: u32, seconds_at_once: u32, now: Instant) -> Self {
        let most = u64::from(per_second) * u64::from(seconds_at_once);
        Self { left: most, per_second, most, filled: now, earned: 0 }
    }

    /// Takes one; `earned` is what the connection's work so far explains in all.
    fn take(&mut self, earned: u64) -> Result<(), Flood> {
        if self.left == 0 {
            self.fill(earned, Instant::now());
        }
        self.left = self.left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn fill(&mut self, earned: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_millis();
        let by_time =
            u64::try_from(passed).unwrap_or(u64::MAX).saturating_mul(self.per_second.into()) / 1_000;
        self.left = by_time.min(self.most) + (earned - self.earned.min(earned));
        if by_time > 0 {
            self.filled = now;
        }
        self.earned = earned;
    }
}

/// See the module.
#[derive(Debug)]
pub struct Http2Frames {
    inbound: FrameHeads,
    outbound: FrameHeads,
    idle: Budget,
    resets: Budget,
    small: Budget,
    max_block_bytes: usize,
    /// Bytes of the header block under way.
    block: Option<usize>,
    last_stream: u32,
    heads: u64,
    /// Bytes of DATA and HEADERS, either way.
    carried: u64,
    seen_settings: bool,
}

impl Http2Frames {
    /// From the rest of the preface on.
    #[must_use]
    pub fn new(bounds: Http2, max_header_bytes: usize) -> Self {
        let now = Instant::now();
        Self {
            inbound: FrameHeads::after(REST_OF_PREFACE),
            outbound: FrameHeads::after(0),
            idle: Budget::new(bounds.max_idle_frames_per_second, 10, now),
            resets: Budget::new(bounds.max_resets_per_second, 4, now),
            small: Budget::new(SMALL_FRAMES_PER_SECOND, 1, now),
            max_block_bytes: max_header_bytes.saturating_mul(BLOCK_FACTOR),
            block: None,
            last_stream: 0,
            heads: 0,
            carried: 0,
            seen_settings: false,
        }
    }

    /// Bytes of messages, either way: what a connection that only pings does not move.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried
    }

    /// Whether a header block (or the preface) has begun and not ended; and how many have ended.
    #[must_use]
    pub fn in_head(&self) -> (bool, u64) {
        (self.block.is_some() || self.inbound.is_before_first(), self.heads)
    }

    /// The GOAWAY that ends it: `ENHANCE_YOUR_CALM` after a flood, `PROTOCOL_ERROR` before SETTINGS. `None` in the midst of another frame.
    #[must_use]
    pub fn goodbye(&self) -> Option<[u8; 17]> {
        let mut frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        frame[16] = if self.seen_settings { ENHANCE_YOUR_CALM } else { PROTOCOL_ERROR };
        frame[9..13].copy_from_slice(&self.last_stream.to_be_bytes());
        self.outbound.is_between().then_some(frame)
    }

    /// Reads what came from the client, in order.
    ///
    /// # Errors
    /// More than the bounds allow. Nothing after that means anything.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while let Some((head, rest)) = self.inbound.next(bytes) {
            bytes = rest;
            self.judge(head)?;
        }
        Ok(())
    }

    /// Follows what is written to the client, in order.
    pub fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some((head, rest)) = self.outbound.next(bytes) {
            bytes = rest;
            if matches!(head.kind, DATA | HEADERS | CONTINUATION) {
                self.carried += u64::from(head.length);
            }
        }
    }

    fn judge(&mut self, head: FrameHead) -> Result<(), Flood> {
        // Section 3.4; the library does not ask for it.
        if !self.seen_settings && head.kind != SETTINGS {
            return Err(Flood);
        }
        self.seen_settings = true;
        let ends = head.flags & END_STREAM != 0;
        match head.kind {
            DATA => {
                self.carried += u64::from(head.length);
                let padded_away = head.flags & PADDED != 0
                    && head.first.is_some_and(|pad| u32::from(pad) + 1 >= head.length);
                match head.length {
                    _ if ends => Ok(()),
                    0 => self.idle(),
                    _ if padded_away => self.idle(),
                    1..SMALL_BYTES => self.small.take(0),
                    _ => Ok(()),
                }
            }
            HEADERS => {
                self.last_stream = self.last_stream.max(head.stream);
                self.block = Some(0);
                self.block_part(head)
            }
            CONTINUATION => {
                self.idle()?;
                self.block_part(head)
            }
            RST_STREAM => self.resets.take(self.heads / REQUESTS_PER_RESET),
            _ => self.idle(),
        }
    }

    fn idle(&mut self) -> Result<(), Flood> {
        self.idle.take(self.heads * FRAMES_PER_REQUEST + self.carried / BYTES_PER_FRAME)
    }

    fn block_part(&mut self, head: FrameHead) -> Result<(), Flood> {
        let bytes = self.block.unwrap_or(0).saturating_add(head.length as usize);
        if bytes > self.max_block_bytes {
            return Err(Flood);
        }
        self.block = Some(bytes);
        if head.length == 0 {
            self.idle()?;
        }
        if head.flags & END_HEADERS != 0 {
            self.block = None;
            self.heads += 1;
            self.carried += bytes as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn frames() -> Http2Frames {
        let mut frames = Http2Frames::new(Http2::default(), 65_536);
        frames.read(&[b"\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat()).unwrap();
        frames
    }

    #[test]
    fn settings_come_first() {
        let mut frames = Http2Frames::new(Http2::default(), 65_536);
        let ping = frame(6, 0, 0, &[0; 8]);
        assert_eq!(frames.read(&[b"\r\nSM\r\n\r\n", &ping[..]].concat()), Err(Flood));
        assert_eq!(frames.goodbye().map(|frame| frame[16]), Some(PROTOCOL_ERROR));
    }

    #[test]
    fn floods_of_frames_that_carry_nothing_are_found_and_requests_are_not() {
        let padding = [7, 0, 0, 0, 0, 0, 0, 0];
        for (what, one) in [
            ("ping", frame(6, 0, 0, &[0; 8])),
            ("settings", frame(4, 0, 0, &[])),
            ("priority", frame(2, 0, 1, &[0; 5])),
            ("window update", frame(8, 0, 1, &[0, 0, 0, 1])),
            ("unknown", frame(99, 0, 1, b"x")),
            ("empty data", frame(0, 0, 1, &[])),
            ("padding alone", frame(0, PADDED, 1, &padding)),
            ("reset", frame(3, 0, 1, &[0; 4])),
            ("empty continuation", frame(9, 0, 1, &[])),
            ("rapid reset", [frame(1, 5, 1, &[0; 9]), frame(3, 0, 1, &[0; 4])].concat()),
        ] {
            assert_eq!(frames().read(&one.repeat(5_000)), Err(Flood), "{what}");
            assert_eq!(frames().read(&one.repeat(100)), Ok(()), "{what}");
        }
        let request = [frame(1, 4, 1, &[0; 40]), frame(8, 0, 1, &[0; 4]), frame(0, 1, 1, &[0; 500])].concat();
        assert_eq!(frames().read(&request.repeat(20_000)), Ok(()));
    }

    #[test]
    fn window_updates_are_explained_by_what_was_written() {
        let mut frames = frames();
        let updates = frame(8, 0, 0, &[0, 0, 64, 0]).repeat(8);
        for _ in 0..5_000 {
            frames.wrote(&frame(0, 0, 1, &[0; 16_384]));
            assert_eq!(frames.read(&updates), Ok(()));
        }
    }

    #[test]
    fn a_header_block_without_end_is_bounded() {
        let mut frames = frames();
        frames.read(&frame(1, 0, 1, &[0; 16_000])).unwrap();
        assert_eq!(frames.in_head(), (true, 0));
        assert_eq!(frames.read(&frame(9, 0, 1, &[0; 16_000]).repeat(9)), Err(Flood));
    }

    #[test]
    fn a_budget_fills_with_time_and_work_but_not_beyond_its_bound() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 2, start);
        (0..20).for_each(|_| budget.take(0).unwrap());
        budget.fill(0, start + Duration::from_secs(1));
        assert_eq!(budget.left, 10);
        budget.fill(3, start + Duration::from_secs(60));
        assert_eq!(budget.left, 20 + 3);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_same_is_found(
            wire in proptest::collection::vec((0u8..11, any::<u8>(), 0usize..40), 0..60), cut in 1usize..30
        ) {
            let wire: Vec<u8> = wire.iter().flat_map(|(kind, flags, n)| frame(*kind, *flags, 1, &vec![3; *n])).collect();
            let (mut whole, mut pieces) = (frames(), frames());
            let expected = whole.read(&wire);
            let found = wire.chunks(cut).try_for_each(|piece| pieces.read(piece));
            prop_assert_eq!(found, expected);
            prop_assert_eq!((pieces.in_head(), pieces.carried()), (whole.in_head(), whole.carried()));
        }

        #[test]
        fn no_bytes_at_all_panic(wire in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = frames().read(&wire);
        }
    }
}
