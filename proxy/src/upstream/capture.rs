//! A second hold on a request's body while it passes, bounded: for the copy that is sent elsewhere.
//!
//! Frames are shared, not copied. A body that grows beyond the bound, or breaks off, is let go.

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

/// See the module. Dropped before [`Self::end`]: there will be no copy.
#[derive(Debug)]
pub struct Capture {
    held: Vec<Bytes>,
    room: usize,
    whole: Option<oneshot::Sender<Bytes>>,
}

impl Capture {
    /// Of at most `room` bytes, and where the whole body will come out.
    #[must_use]
    pub fn new(room: usize) -> (Self, oneshot::Receiver<Bytes>) {
        let (sender, whole) = oneshot::channel();
        (Self { held: Vec::new(), room, whole: Some(sender) }, whole)
    }

    /// The next piece passes.
    pub fn push(&mut self, data: &Bytes) {
        match self.room.checked_sub(data.len()) {
            Some(room) if self.whole.is_some() => {
                self.room = room;
                self.held.push(data.clone());
            }
            _ => (self.held, self.whole) = (Vec::new(), None),
        }
    }

    /// The last piece has passed.
    pub fn end(&mut self) {
        if let Some(whole) = self.whole.take() {
            let held = std::mem::take(&mut self.held);
            // The copy may have been given up meanwhile.
            let _unwanted = whole.send(joined(held));
        }
    }
}

fn joined(mut held: Vec<Bytes>) -> Bytes {
    match held.len() {
        0 | 1 => held.pop().unwrap_or_default(),
        _ => held
            .iter()
            .fold(BytesMut::new(), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            })
            .freeze(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn captured(room: usize, pieces: &[&'static str]) -> Option<Bytes> {
        let (mut capture, mut whole) = Capture::new(room);
        pieces.iter().for_each(|piece| capture.push(&Bytes::from_static(piece.as_bytes())));
        capture.end();
        whole.try_recv().ok()
    }

    #[test]
    fn a_body_comes_out_whole_or_not_at_all() {
        assert_eq!(captured(4, &["ab", "cd"]).unwrap(), "abcd");
        assert_eq!(captured(4, &[]).unwrap(), "");
        assert_eq!(captured(4, &["ab", "cde", "f"]), None);
        let (capture, mut whole) = Capture::new(4);
        drop(capture);
        assert!(whole.try_recv().is_err());
    }
}
