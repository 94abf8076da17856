//! The telemetry listener's service: who may speak, how much, and for whom.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use protocol::telemetry::Window;
use protocol::wire::{ADMIN_KEY, PROTOCOL_KEY, PROXY_KEY, v1};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use trust::quiet::Quiet;

use super::order::Refused;
use super::proxies::ProxyTable;
use super::secured::Shown;
use crate::metrics::Metrics;
use crate::settings::{MAX_PROXIES, admin_url};
use crate::token::Token;

/// The largest frame that is read.
pub const MAX_FRAME_BYTES: usize = 4 << 20;
/// Windows a second that one proxy may send in the long run; the shortest window is 250 ms.
const MAX_RATE_PER_S: f64 = 20.0;
/// Windows it may send at once, after it was cut off.
const BURST: f64 = 120.0;

/// The service. Windows that pass go into the inbox, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Ingest {
    token: Token,
    proxies: ProxyTable,
    inbox: mpsc::Sender<Window>,
    metrics: Metrics,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Ingest {
    /// A service for proxies that show `token`; its streams end when `stop` is cancelled.
    #[must_use]
    pub fn new(
        token: Token,
        proxies: ProxyTable,
        inbox: mpsc::Sender<Window>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self { token, proxies, inbox, metrics, places: Arc::new(Semaphore::new(MAX_PROXIES)), stop }
    }

    /// The tonic service, its frames bounded.
    #[must_use]
    pub fn service(self) -> v1::telemetry_server::TelemetryServer<Self> {
        v1::telemetry_server::TelemetryServer::new(self).max_decoding_message_size(MAX_FRAME_BYTES)
    }

    /// Who speaks, if it may: the certificate or the token, the version, the id, the URL, and a place, in this order.
    fn admit(&self, metadata: &MetadataMap, identity: Option<&str>) -> Result<Speaker, Status> {
        let shown = metadata.get("authorization").map(tonic::metadata::MetadataValue::as_bytes);
        if identity.is_none() && !self.token.is_shown_by(shown) {
            return Err(Status::unauthenticated(
                "show the telemetry token: authorization: Bearer TOKEN (ai.token_path of the proxy)",
            ));
        }
        let version = text(metadata, PROTOCOL_KEY)?;
        if version != protocol::PROTOCOL_VERSION.to_string() {
            return Err(Status::failed_precondition(format!(
                "the proxy speaks protocol version {version:?}, this brain {}: run builds of one version",
                protocol::PROTOCOL_VERSION
            )));
        }
        let id = text(metadata, PROXY_KEY)?.to_owned();
        protocol::id::check_name(&id)
            .map_err(|why| Status::invalid_argument(format!("{PROXY_KEY}: {why}")))?;
        let admin = admin_url(text(metadata, ADMIN_KEY)?, identity.is_some())
            .map_err(|why| Status::invalid_argument(format!("{ADMIN_KEY}: {why}")))?;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("this brain watches as many proxies as it can"))?;
        if let Some(identity) = identity {
            tracing::info!(proxy = %id, identity, "a proxy shows its identity");
        }
        let replaced = self
            .proxies
            .connect(&id, admin)
            .ok_or_else(|| Status::resource_exhausted("this brain knows as many proxies as it can"))?;
        Ok(Speaker { id, replaced, rate: Rate::new(Instant::now()), quiet: Quiet::default(), _place: place })
    }

    /// Reads one proxy's stream to its end.
    async fn listen(
        self,
        mut speaker: Speaker,
        mut frames: Streaming<v1::Window>,
        acks: mpsc::Sender<Result<v1::Ack, Status>>,
    ) {
        tracing::info!(proxy = %speaker.id, "a proxy reports");
        let mut newest_seq = 0;
        loop {
            let frame = tokio::select! {
                () = speaker.replaced.cancelled() => {
                    let _ = acks.try_send(Err(Status::aborted("a newer connection speaks for this proxy")));
                    break;
                }
                () = self.stop.cancelled() => break,
                frame = frames.message() => frame,
            };
            match frame {
                Ok(Some(frame)) => {
                    newest_seq = newest_seq.max(frame.seq);
                    if let Err((refused, why)) = self.take(&mut speaker, frame) {
                        self.refuse(&mut speaker, refused, &why);
                    }
                    // A proxy that does not read its acks loses them, nothing else.
                    let _ = acks.try_send(Ok(v1::Ack { seq: newest_seq }));
                }
                Ok(None) => break,
                Err(why) => {
                    if matches!(
                        why.code(),
                        tonic::Code::Internal | tonic::Code::OutOfRange | tonic::Code::InvalidArgument
                    ) {
                        self.refuse(&mut speaker, Refused::BadFrame, why.message());
                    }
                    let _ = acks.try_send(Err(why));
                    break;
                }
            }
        }
        tracing::info!(proxy = %speaker.id, "a proxy's stream ended");
    }

    fn take(&self, speaker: &mut Speaker, frame: v1::Window) -> Result<(), (Refused, String)> {
        if !speaker.rate.allows(Instant::now()) {
            return Err((Refused::Rate, format!("more than {MAX_RATE_PER_S} windows a second")));
        }
        let window = Window::try_from(frame).map_err(|why| (Refused::BadFrame, why.to_string()))?;
        if window.proxy != speaker.id {
            return Err((Refused::Foreign, format!("the window names proxy {}", window.proxy)));
        }
        let full = |_| (Refused::Overflow, "more windows than the brain can take".to_owned());
        self.inbox.try_send(window).map_err(full)
    }

    fn refuse(&self, speaker: &mut Speaker, refused: Refused, why: &str) {
        self.metrics.windows_refused.with_label_values(&[refused.label()]).inc();
        self.proxies.refused_window(&speaker.id);
        if let Some(silent) = speaker.quiet.speak(Instant::now()) {
            tracing::warn!(proxy = %speaker.id, reason = refused.label(), why, silent, "a window was refused");
        }
    }
}

#[tonic::async_trait]
impl v1::telemetry_server::Telemetry for Ingest {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<v1::Ack, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::Window>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let shown = request.extensions().get::<Shown>().map(|Shown(peer)| peer.id.to_string());
        let speaker = self.admit(request.metadata(), shown.as_deref())?;
        let (acks, answer) = mpsc::channel(16);
        tokio::spawn(self.clone().listen(speaker, request.into_inner(), acks));
        Ok(Response::new(Box::pin(ReceiverStream::new(answer))))
    }
}

/// An authenticated stream.
struct Speaker {
    id: String,
    replaced: CancellationToken,
    rate: Rate,
    quiet: Quiet,
    _place: OwnedSemaphorePermit,
}

/// A token bucket.
struct Rate {
    left: f64,
    at: Instant,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * MAX_RATE_PER_S).min(BURST);
        self.at = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Result<&'a str, Status> {
    let value = metadata.get(key).ok_or_else(|| Status::invalid_argument(format!("{key} is missing")))?;
    value.to_str().map_err(|_| Status::invalid_argument(format!("{key} is not ASCII")))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
