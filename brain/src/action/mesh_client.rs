//! The way to proxies' admin listeners: in clear text, or over TLS by which each end knows the other's identity.
//!
//! The files are looked at again every few seconds when something is asked; a bad set keeps the last good one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder};
use trust::dialling::Parties;
use trust::tls::BadPair;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// An HTTP client that goes exactly where it is sent: no redirects, no proxy from the environment.
///
/// # Errors
/// The client cannot be built.
pub fn direct_client(timeout: Duration) -> reqwest::Result<Client> {
    direct().timeout(timeout).build()
}

pub(crate) fn direct() -> ClientBuilder {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}

/// Why proxies cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// What this brain shows, or whom it believes.
    #[error(transparent)]
    Files(#[from] BadPair),
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// See the module; cheap to clone. Requests name their own time limit.
#[derive(Debug, Clone)]
pub struct MeshClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parties: Option<Parties>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    http: Client,
    digest: [u8; 32],
    looked: Instant,
}

impl MeshClient {
    /// A way to `https://` by `parties`; without them in clear text alone.
    ///
    /// # Errors
    /// [`NoWay`].
    pub fn new(parties: Option<Parties>) -> Result<Self, NoWay> {
        let (http, digest) = match &parties {
            Some(parties) => secured(parties)?,
            None => (direct().build()?, [0; 32]),
        };
        let current = Mutex::new(Current { http, digest, looked: Instant::now() });
        Ok(Self(Arc::new(Inner { parties, current })))
    }

    /// The client by what the files hold. What is on its way by an older one ends there.
    #[must_use]
    pub fn current(&self) -> Client {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parties) = self.0.parties.as_ref().filter(|_| current.looked.elapsed() >= LOOK) {
            current.looked = Instant::now();
            match secured(parties) {
                Ok((http, digest)) if digest != current.digest => {
                    tracing::info!("what this brain shows to proxies has changed and is in force");
                    (current.http, current.digest) = (http, digest);
                }
                Ok(_) => {}
                Err(why) => tracing::error!("telemetry.tls: {why}; the last good certificates stay"),
            }
        }
        current.http.clone()
    }
}

fn secured(parties: &Parties) -> Result<(Client, [u8; 32]), NoWay> {
    let (config, digest) = parties.load()?;
    Ok((direct().tls_backend_preconfigured(config).build()?, digest))
}
