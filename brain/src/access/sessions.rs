//! Browsers' sessions: a cookie that scripts cannot read, and a word that only the page knows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The cookie's name.
pub const COOKIE: &str = "lightsout_session";
/// The longest that a session lives.
pub const LIFE: Duration = Duration::from_secs(8 * 3_600);
/// Without a request for so long it is over.
const IDLE: Duration = Duration::from_secs(3_600);
/// Sessions at once; the one that was quiet longest makes room.
const MAX_SESSIONS: usize = 512;

/// A session that is going on.
#[derive(Debug, Clone)]
pub struct Session {
    /// The id of the token that it was opened with.
    pub key: String,
    /// What the page sends along with each write; a page of another origin cannot read it.
    pub csrf: String,
    begun: Instant,
    seen: Instant,
}

impl Session {
    /// Whether `header` is the word of this session.
    #[must_use]
    pub fn is_told_by(&self, header: &[u8]) -> bool {
        self.csrf.as_bytes().ct_eq(header).into()
    }

    /// What is left of its life.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        LIFE.saturating_sub(now.saturating_duration_since(self.begun))
    }

    fn over(&self, now: Instant) -> bool {
        self.left(now).is_zero() || now.saturating_duration_since(self.seen) > IDLE
    }
}

/// What the browser is given.
#[derive(Debug)]
pub struct Opened {
    /// The cookie's value.
    pub cookie: String,
    /// The session.
    pub session: Session,
}

/// By the digest of the cookie: what is in memory opens nothing.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<[u8; 32], Session>);

impl Sessions {
    /// `None` without randomness.
    pub(super) fn open(&mut self, key: &str, now: Instant) -> Option<Opened> {
        self.0.retain(|_, session| !session.over(now));
        if self.0.len() >= MAX_SESSIONS {
            let quietest = self.0.iter().min_by_key(|(_, session)| session.seen).map(|(id, _)| *id);
            quietest.map(|id| self.0.remove(&id));
        }
        let (cookie, csrf) = (random()?, random()?);
        let session = Session { key: key.to_owned(), csrf, begun: now, seen: now };
        self.0.insert(id(&cookie), session.clone());
        Some(Opened { cookie, session })
    }

    pub(super) fn touch(&mut self, cookie: &str, now: Instant) -> Option<Session> {
        let session = self.0.get_mut(&id(cookie)).filter(|session| !session.over(now))?;
        session.seen = now;
        Some(session.clone())
    }

    pub(super) fn look(&self, cookie: &str, now: Instant) -> Option<Session> {
        self.0.get(&id(cookie)).filter(|session| !session.over(now)).cloned()
    }

    pub(super) fn close(&mut self, cookie: &str) {
        self.0.remove(&id(cookie));
    }
}

fn id(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie).into()
}

fn random() -> Option<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_quiet_and_when_it_is_old() {
        let (mut sessions, mut now) = (Sessions::default(), Instant::now());
        let quiet = sessions.open("k", now).unwrap().cookie;
        let busy = sessions.open("k", now).unwrap().cookie;
        for _ in 0..15 {
            now += Duration::from_secs(1_800);
            assert!(sessions.touch(&busy, now).is_some());
        }
        assert!(sessions.touch(&quiet, now).is_none());
        now += Duration::from_secs(1_800);
        assert!(sessions.touch(&busy, now).is_none(), "eight hours are over");
    }

    #[test]
    fn sessions_are_bounded_and_the_quietest_makes_room() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.open("k", now).unwrap().cookie;
        for n in 1..=MAX_SESSIONS as u64 {
            sessions.open("k", now + Duration::from_millis(n)).unwrap();
        }
        assert_eq!(sessions.0.len(), MAX_SESSIONS);
        assert!(sessions.touch(&first, now).is_none());
    }
}
