//! Who may do what at the API: names, roles, tokens, browser sessions, and what holds off those who guess.
//!
//! Only digests of tokens are kept, on disk in the tokens file and in memory. A token has 256 random bits, so one
//! round of SHA-256 is as good as many: there is no dictionary to try.

mod book;
mod role;
mod sessions;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use trust::hosts::Hosts;
use trust::identity::SpiffeId;
use trust::lockout::{Lockout, Turned};

pub use book::{BookError, NewToken, TOKENS_FILE, TokenBook, TokenRow};
pub use role::{Deed, Role};
pub use sessions::{COOKIE, LIFE, Opened, Session};

use crate::domain::{Actor, ActorKind};
use crate::token::Token;
use sessions::Sessions;

/// How often the tokens file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// As the audit log calls them.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
}

impl Principal {
    /// Somebody of that name.
    #[must_use]
    pub fn new(name: &str, role: Role) -> Self {
        let kind = if role == Role::Pipeline { ActorKind::Pipeline } else { ActorKind::Person };
        Self { actor: Actor { kind, id: name.to_owned() }, role }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone)]
pub struct Key {
    /// Names the token in sessions that were opened with it.
    pub id: String,
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// Whose it is.
    pub who: Principal,
    /// When it stops counting.
    pub expires: Option<Timestamp>,
}

impl Key {
    /// A token of brain.yaml, which does not expire.
    #[must_use]
    pub fn fixed(token: &Token, who: Principal) -> Self {
        Self { id: format!("file:{}", who.actor.id), digest: token.digest(), who, expires: None }
    }
}

/// How the API may be spoken to, and by whom without a token.
#[derive(Debug, Default)]
pub struct Doors {
    /// Under which names.
    pub hosts: Hosts,
    /// Whether reads need nothing.
    pub open_reads: bool,
    /// Whether it is served over TLS.
    pub secured: bool,
    /// Who is known by a certificate.
    pub workloads: Vec<(SpiffeId, Principal)>,
}

/// What somebody was let in by.
#[derive(Debug, Clone)]
pub enum Pass {
    /// The id of a token.
    Token(String),
    /// A session's cookie.
    Session(String),
    /// A certificate, which holds as long as its connection.
    Certificate,
}

/// The API's doorkeeper; cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fixed: Vec<Key>,
    book: ArcSwap<Vec<Key>>,
    sessions: Mutex<Sessions>,
    lockout: Lockout,
    doors: Doors,
}

impl Access {
    /// The tokens of brain.yaml, and how the API may be spoken to.
    #[must_use]
    pub fn new(fixed: Vec<Key>, doors: Doors) -> Self {
        let (book, sessions) = (ArcSwap::default(), Mutex::default());
        Self(Arc::new(Inner { fixed, book, sessions, lockout: Lockout::default(), doors }))
    }

    /// How the API may be spoken to.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.0.doors
    }

    /// Who the holder of a certificate is, if anybody who was named.
    #[must_use]
    pub fn workload(&self, id: &SpiffeId) -> Option<Principal> {
        self.0.doors.workloads.iter().find(|(known, _)| known == id).map(|(_, who)| who.clone())
    }

    /// Whether what somebody was let in by is still good; a session is not used by being asked about.
    #[must_use]
    pub fn holds(&self, pass: &Pass) -> bool {
        match pass {
            Pass::Token(id) => self.key(id).is_some(),
            Pass::Session(cookie) => {
                let session = self.sessions().look(cookie, Instant::now());
                session.is_some_and(|session| self.key(&session.key).is_some())
            }
            Pass::Certificate => true,
        }
    }

    /// A token that counts now.
    fn key(&self, id: &str) -> Option<Key> {
        let (book, now) = (self.0.book.load(), Timestamp::now());
        let mut keys = self.0.fixed.iter().chain(book.iter());
        keys.find(|key| key.id == id && key.expires.is_none_or(|until| now < until)).cloned()
    }

    /// Whose token an `authorization` header shows; who shows a wrong one too often is locked out.
    ///
    /// # Errors
    /// [`Turned`].
    pub fn shown(&self, authorization: &[u8], peer: Option<IpAddr>) -> Result<Key, Turned> {
        let token = authorization.split_at_checked("Bearer ".len());
        let token =
            token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer ")).map(|(_, token)| token);
        self.judge(token.unwrap_or_default(), peer)
    }

    fn judge(&self, token: &[u8], peer: Option<IpAddr>) -> Result<Key, Turned> {
        let (digest, now): ([u8; 32], _) = (Sha256::digest(token).into(), Timestamp::now());
        let book = self.0.book.load();
        let mut found = None;
        // Every key is compared, so that the time does not tell which is nearly right.
        for key in self.0.fixed.iter().chain(book.iter()) {
            let live = key.expires.is_none_or(|until| now < until);
            if bool::from(key.digest.ct_eq(&digest)) && live {
                found = Some(key.clone());
            }
        }
        self.0.lockout.judge(peer, Instant::now(), found)
    }

    /// Opens a browser's session for whoever holds `token`.
    ///
    /// # Errors
    /// [`Turned`]; no randomness counts as wrong.
    pub fn open_session(&self, token: &[u8], peer: Option<IpAddr>) -> Result<(Principal, Opened), Turned> {
        let key = self.judge(token, peer)?;
        let opened = self.sessions().open(&key.id, Instant::now()).ok_or(Turned::Wrong)?;
        Ok((key.who, opened))
    }

    /// Whose session a cookie is of: one whose token was revoked, or has expired, is over.
    #[must_use]
    pub fn session(&self, cookie: &str) -> Option<(Principal, Session)> {
        let session = self.sessions().touch(cookie, Instant::now())?;
        Some((self.key(&session.key)?.who, session))
    }

    /// Ends a session.
    pub fn close_session(&self, cookie: &str) {
        self.sessions().close(cookie);
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the tokens of the file in `data_dir` from now on, instead of those read before.
    ///
    /// # Errors
    /// [`BookError`]; the last good ones stay.
    pub fn read_book(&self, data_dir: &Path) -> Result<(), BookError> {
        let keys = TokenBook::read(data_dir)?.keys()?;
        self.0.book.store(Arc::new(keys));
        Ok(())
    }

    /// Reads the tokens file again whenever it has changed, until `stop`.
    pub async fn watch(self, data_dir: std::path::PathBuf, stop: CancellationToken) {
        let mut known = book::fingerprint(&data_dir);
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let now = book::fingerprint(&data_dir);
            if now == known {
                continue;
            }
            known = now;
            match self.read_book(&data_dir) {
                Ok(()) => tracing::info!("the tokens file has changed and is in force"),
                Err(why) => tracing::error!("the tokens file is not taken, the last good one stays: {why}"),
            }
        }
    }
}
