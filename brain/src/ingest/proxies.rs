//! Who has reported, where its action API is, and which of two connections speaks for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::{RequestBuilder, Url};
use tokio_util::sync::CancellationToken;

use crate::settings::MAX_PROXIES;
use crate::token::Token;

/// Where a proxy's action API is, and what it is shown.
#[derive(Debug, Clone)]
pub struct Target {
    /// `http://HOST:PORT/`, or `https://`.
    pub admin: Url,
    /// Shown as a bearer token; without one every write will be refused.
    pub token: Option<Token>,
}

impl Target {
    /// A request to it shows the token, where there is one.
    pub fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header("authorization", token.header()),
            None => request,
        }
    }
}

/// One proxy, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProxy {
    /// Its id.
    pub id: String,
    /// Its action API.
    pub admin: String,
    /// End of its newest window; 0 before the first.
    pub last_window_ms: i64,
    /// Windows refused.
    pub windows_refused: u64,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    stream: CancellationToken,
    last_window_ms: i64,
    windows_refused: u64,
}

/// All proxies that ever reported to this brain or are configured, bounded by [`MAX_PROXIES`].
///
/// The mesh's token goes only to an address that a proxy announced behind the telemetry token; an
/// operator who trusts nobody's announcement lists the proxies.
#[derive(Debug, Clone)]
pub struct ProxyTable {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
    overrides: Arc<BTreeMap<String, Target>>,
    mesh_token: Option<Token>,
}

impl ProxyTable {
    /// The configured proxies, and the token for all others.
    #[must_use]
    pub fn new(overrides: BTreeMap<String, Target>, mesh_token: Option<Token>) -> Self {
        let entries = overrides.iter().map(|(id, target)| (id.clone(), Entry::new(target.clone()))).collect();
        Self { entries: Arc::new(Mutex::new(entries)), overrides: Arc::new(overrides), mesh_token }
    }

    /// A proxy opened a stream. The newest stream speaks for it: an older one is ended. The returned
    /// token is cancelled when this one is no longer the newest. `None` when the table is full.
    pub fn connect(&self, id: &str, announced: Url) -> Option<CancellationToken> {
        let target = self
            .overrides
            .get(id)
            .cloned()
            .unwrap_or_else(|| Target { admin: announced, token: self.mesh_token.clone() });
        let mut entries = self.lock();
        if !entries.contains_key(id) && entries.len() >= MAX_PROXIES {
            return None;
        }
        let entry = entries.entry(id.to_owned()).or_insert_with(|| Entry::new(target.clone()));
        entry.stream.cancel();
        entry.stream = CancellationToken::new();
        entry.target = target;
        Some(entry.stream.clone())
    }

    /// Notes a window that was taken.
    pub fn saw_window(&self, id: &str, end_ms: i64) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.last_window_ms = entry.last_window_ms.max(end_ms);
        }
    }

    /// Counts a window that was not.
    pub fn refused_window(&self, id: &str) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.windows_refused = entry.windows_refused.saturating_add(1);
        }
    }

    /// Where to send what is asked of `id`.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<Target> {
        self.lock().get(id).map(|entry| entry.target.clone())
    }

    /// All targets.
    #[must_use]
    pub fn targets(&self) -> Vec<(String, Target)> {
        self.lock().iter().map(|(id, entry)| (id.clone(), entry.target.clone())).collect()
    }

    /// All proxies, by id.
    #[must_use]
    pub fn known(&self) -> Vec<KnownProxy> {
        let row = |(id, entry): (&String, &Entry)| KnownProxy {
            id: id.clone(),
            admin: entry.target.admin.to_string(),
            last_window_ms: entry.last_window_ms,
            windows_refused: entry.windows_refused,
        };
        self.lock().iter().map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Every change is one assignment: a panic elsewhere leaves nothing half-done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(target: Target) -> Self {
        Self { target, stream: CancellationToken::new(), last_window_ms: 0, windows_refused: 0 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_newest_connection_of_an_id_wins() {
        let table = ProxyTable::new(BTreeMap::new(), None);
        let first = table.connect("p1", url("http://127.0.0.1:1")).unwrap();
        let second = table.connect("p1", url("http://127.0.0.1:2")).unwrap();
        assert!(first.is_cancelled());
        assert!(!second.is_cancelled());
        assert_eq!(table.target("p1").unwrap().admin, url("http://127.0.0.1:2"));
    }

    #[test]
    fn what_the_operator_wrote_overrides_what_a_proxy_announces() {
        let own = Target { admin: url("http://10.0.0.1:9"), token: Some(Token::new("own").unwrap()) };
        let mesh = Token::new("mesh").unwrap();
        let table = ProxyTable::new(BTreeMap::from([("p1".to_owned(), own)]), Some(mesh.clone()));
        table.connect("p1", url("http://evil:1")).unwrap();
        table.connect("p2", url("http://127.0.0.1:2")).unwrap();
        assert_eq!(table.target("p1").unwrap().admin, url("http://10.0.0.1:9"));
        assert_eq!(table.target("p1").unwrap().token, Some(Token::new("own").unwrap()));
        assert_eq!(table.target("p2").unwrap().token, Some(mesh));
    }

    #[test]
    fn the_table_is_bounded() {
        let table = ProxyTable::new(BTreeMap::new(), None);
        for n in 0..MAX_PROXIES {
            assert!(table.connect(&format!("p{n}"), url("http://127.0.0.1:1")).is_some());
        }
        assert!(table.connect("one-more", url("http://127.0.0.1:1")).is_none());
        assert!(table.connect("p0", url("http://127.0.0.1:1")).is_some());
    }
}
