//! A listener's certificates: looked at again every few seconds when somebody comes; a bad set keeps the last good one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use trust::tls::{BadPair, MinVersion, Termination};

use crate::settings::{ApiTls, TelemetryTls};

/// To finish a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// See the module.
pub struct TlsFiles {
    key: &'static str,
    load: Box<dyn Fn() -> Result<Termination, BadPair> + Send + Sync>,
    current: Mutex<(Arc<Termination>, Instant)>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles").field("key", &self.key).finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// What the telemetry listener shows: every client must show who it is.
    ///
    /// # Errors
    /// [`BadPair`]: which file is not what it should be.
    pub fn of_telemetry(given: TelemetryTls) -> Result<Self, BadPair> {
        Self::read("telemetry.tls", move || {
            let proxies = Some(given.proxies.clone());
            Termination::load(&given.certificate, &given.key, MinVersion::Tls13, HANDSHAKE, proxies)
        })
    }

    /// What the API shows, to browsers too.
    ///
    /// # Errors
    /// [`BadPair`]: which file is not what it should be.
    pub fn of_api(given: ApiTls) -> Result<Self, BadPair> {
        Self::read("api.tls", move || {
            let clients = given.clients.clone();
            let read =
                Termination::load(&given.certificate, &given.key, MinVersion::Tls12, HANDSHAKE, clients);
            read.map(Termination::http1_only)
        })
    }

    fn read(
        key: &'static str,
        load: impl Fn() -> Result<Termination, BadPair> + Send + Sync + 'static,
    ) -> Result<Self, BadPair> {
        let current = Mutex::new((Arc::new(load()?), Instant::now()));
        Ok(Self { key, load: Box::new(load), current })
    }

    /// As the files are, or were when they were last good.
    #[must_use]
    pub fn current(&self) -> Arc<Termination> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.1.elapsed() >= LOOK {
            current.1 = Instant::now();
            match (self.load)() {
                Ok(new) if new != *current.0 => {
                    tracing::info!("the certificates of {} have changed and are in force", self.key);
                    current.0 = Arc::new(new);
                }
                Ok(_) => {}
                Err(why) => tracing::error!("{}: {why}; the last good certificates stay", self.key),
            }
        }
        Arc::clone(&current.0)
    }
}
