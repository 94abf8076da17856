//! The daemon: built once, in an order in which nothing is half-started, and taken down in order.

mod parts;
mod tasks;
mod turns;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use parts::{
    Past, access, advisor, anchoring, listen, notify, own_token, read_tokens, recall, restrain, retention,
    scale_hook,
};
use tasks::{how_it_died, lasting, named, panic_words, serve_api, serve_telemetry};
use turns::{Keep, turns};

use crate::access::Access;
use crate::action::client::ActionClient;
use crate::action::mesh_client::MeshClient;
use crate::advisor::{Advisor, MAX_WAITING as MAX_QUESTIONS};
use crate::api::{Api, live, router};
use crate::audit::{AuditReader, AuditStore, Retention, StoreError};
use crate::backtest::{Backtests, Shelf};
use crate::clock::wall_clock_ms;
use crate::control_loop::ControlLoop;
use crate::domain::{Actor, ActorKind};
use crate::fleet::Fleet;
use crate::forecast::task::{self, Told};
use crate::ingest::{Ingest, ProxyTable};
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::policy_files::{self, PolicyError};
use crate::recording::{Recording, RecordingPlan};
use crate::runtime::{Ask, Inbox, Live, Retiring, Runtime, Shared};
use crate::settings::{Settings, TelemetryTls};
use crate::tls_files::TlsFiles;
use crate::token::TokenError;
use crate::webhook::anchors::{self, Anchoring};
use crate::webhook::scaler::Scaler;
use crate::webhook::{Webhook, notices};
use crate::webhooks::Webhooks;

/// The name under which the control loop acts.
pub const BRAIN_ID: &str = "lightsout";
/// How long connections may take to end once the brain stops.
const DRAIN: Duration = Duration::from_secs(3);
/// Bounds of the channels between tasks.
const MAX_WINDOWS: usize = 8_192;
const MAX_REPLIES: usize = 4_096;
const MAX_ASKS: usize = 256;
const MAX_EVENTS: usize = 1_024;

/// Why the brain does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A token cannot be read or made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policies do not load.
    #[error("{0}")]
    Policies(#[from] PolicyError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {why}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The section of brain.yaml.
        key: &'static str,
        /// The system's words.
        why: std::io::Error,
    },
    /// The recording cannot be begun.
    #[error("cannot record to {path}: {why}")]
    Record {
        /// Where.
        path: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// A part cannot be built.
    #[error("cannot build {0}: {1}")]
    Part(&'static str, String),
    /// A task died. Nothing renews a lease any more: all expire.
    #[error("the {0} stopped ({1}); the brain exits, and its leases expire")]
    Died(&'static str, String),
}

/// A brain that listens but does not turn yet.
#[derive(Debug)]
pub struct App {
    api: TcpListener,
    telemetry: TcpListener,
    service: Ingest,
    api_tls: Option<TlsFiles>,
    secured: Option<TlsFiles>,
    pages: Api,
    routes: axum::Router,
    control: ControlLoop,
    least_confidence: f64,
    store: AuditStore,
    inbox: Inbox,
    client: ActionClient,
    mesh: MeshClient,
    webhooks: Webhooks,
    shared: Shared,
    policies: mpsc::Sender<Policies>,
    policies_dir: std::path::PathBuf,
    recording: Option<Recording>,
    reader: AuditReader,
    access: Access,
    data_dir: std::path::PathBuf,
    forecasts: Told,
    notify: Option<(Webhook, Option<reqwest::Url>)>,
    anchoring: Option<Anchoring>,
    retention: Option<Retention>,
    advisor: Option<Advisor>,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
}

impl App {
    /// Builds all parts: policies, listeners, tokens, store, in this order; the first that fails ends it.
    ///
    /// # Errors
    /// [`AppError`], with nothing left running.
    pub async fn build(settings: Settings) -> Result<Self, AppError> {
        let least = settings.least_confidence;
        let policies = policy_files::load_or_shipped(&settings.policies_dir)?.with_least_confidence(least);
        let (targets, mesh_token) = read_tokens(&settings)?;
        let secured = settings.telemetry_tls.clone().map(TlsFiles::of_telemetry).transpose();
        let secured = secured.map_err(|why| AppError::Part("telemetry.tls", why.to_string()))?;
        let api_tls = settings.api_tls.clone().map(TlsFiles::of_api).transpose();
        let api_tls = api_tls.map_err(|why| AppError::Part("api.tls", why.to_string()))?;
        let (notify, anchoring, advisor) = (notify(&settings)?, anchoring(&settings)?, advisor(&settings)?);
        let scale_hook = scale_hook(&settings)?;
        // An address in use leaves no file behind: the listeners come before what is made.
        let api = listen(settings.api.address, "api").await?;
        let telemetry = listen(settings.telemetry.address, "telemetry").await?;
        let api_token = own_token(&settings.api.token_path, "API")?;
        let telemetry_token = own_token(&settings.telemetry.token_path, "telemetry")?;
        let Past { store, reader, options, was_frozen, modes, memory, canaries, lately } =
            recall(&settings.data_dir).await?;
        let retention = retention(&settings)?;
        let metrics = Metrics::new().map_err(|why| AppError::Part("metrics", why.to_string()))?;
        let mut control = ControlLoop::new(policies, settings.mode, options);
        if let Some(memory) = memory {
            control.recall(memory, wall_clock_ms());
        }
        control.recall_canaries(canaries.0, canaries.1);
        control.recall_log(&lately);
        if let Some(given) = &settings.advisor {
            control.consult(given.addresses);
        }
        control.may_scale(scale_hook.is_some());
        let (windows_in, windows) = mpsc::channel(MAX_WINDOWS);
        let (replies_in, replies) = mpsc::channel(MAX_REPLIES);
        let (asks_in, asks) = mpsc::channel(MAX_ASKS);
        let (policies_in, policies) = mpsc::channel(1);
        let proxies = ProxyTable::new(targets, mesh_token);
        let dialling = settings.telemetry_tls.as_ref().map(TelemetryTls::dialling);
        let mesh = MeshClient::new(dialling).map_err(|why| AppError::Part("HTTP client", why.to_string()))?;
        let mut client =
            ActionClient::new(mesh.clone(), proxies.clone(), replies_in.clone(), metrics.clone());
        client.scaler = scale_hook.map(|hook| Scaler::new(hook, replies_in));
        let stop = CancellationToken::new();
        let live = Live { view: control.view(), audit_ok: true, audit_seq: store.seq() };
        let shared = Shared {
            fleet: Fleet::default(),
            proxies: proxies.clone(),
            live: Arc::new(ArcSwap::from_pointee(live)),
            events: broadcast::channel(MAX_EVENTS).0,
            metrics: metrics.clone(),
        };
        let access = access(&settings, &api_token)?;
        let webhooks = Webhooks::new(brain(), asks_in.clone())
            .map_err(|why| AppError::Part("HTTP client", why.to_string()))?;
        let mut state = Api::new(
            Arc::clone(&shared.live),
            asks_in.clone(),
            shared.events.clone(),
            reader.clone(),
            access.clone(),
            metrics.clone(),
            stop.clone(),
        );
        state.backtests = Backtests::new(
            Shelf::new(&settings.data_dir),
            settings.policies_dir.clone(),
            least,
            stop.clone(),
        );
        let forecasts = Arc::clone(&state.forecasts);
        let mut inbox = Inbox::new(windows, replies, asks, policies);
        restrain(&mut inbox, was_frozen, modes, settings.mode);
        Ok(Self {
            api,
            telemetry,
            service: Ingest::new(telemetry_token, proxies, windows_in, metrics, stop.clone()),
            api_tls,
            secured,
            pages: state.clone(),
            routes: router(state),
            control,
            least_confidence: least,
            store,
            inbox,
            client,
            mesh,
            webhooks,
            shared,
            policies: policies_in,
            policies_dir: settings.policies_dir,
            reader,
            access,
            data_dir: settings.data_dir,
            forecasts,
            recording: None,
            notify,
            anchoring,
            retention,
            advisor,
            asks: asks_in,
            stop,
        })
    }

    /// Records every window that is judged from now on.
    ///
    /// # Errors
    /// [`AppError::Record`]: nothing can be written there.
    pub fn record(&mut self, plan: RecordingPlan) -> Result<(), AppError> {
        let path = plan.path.display().to_string();
        let lost = self.shared.metrics.recording_lost.clone();
        self.pages.backtests.shelf.offer(plan.clone());
        let begun = Recording::begin(plan, lost).map_err(|why| AppError::Record { path, why })?;
        self.recording = Some(begun);
        Ok(())
    }

    /// Where the API and the telemetry listener are, with their real ports.
    ///
    /// # Errors
    /// The system does not know its own sockets.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.api.local_addr()?, self.telemetry.local_addr()?))
    }

    /// Runs until `signal` resolves or a task dies. Then, in order: nothing more is taken in, the turn
    /// under way is finished, the store is closed. Live leases are left to expire by themselves.
    ///
    /// # Errors
    /// A task died.
    pub async fn run(self, signal: impl Future<Output = ()>) -> Result<(), AppError> {
        let stop = self.stop.clone();
        // The loop stops after its sources: what they took is still judged and recorded.
        let stop_loop = CancellationToken::new();
        let Shared { fleet, proxies, metrics, .. } = self.shared.clone();
        let (memories_in, memories) = mpsc::channel(1);
        let (histories_in, histories) = mpsc::channel(1);
        let (questions_in, questions) = mpsc::channel(MAX_QUESTIONS);
        let forecasts = Arc::clone(&self.forecasts);
        let keep = Keep { memories: memories_in, histories: histories_in, forecasts };
        let mut runtime = Runtime::new(
            turns(self.control, self.least_confidence, keep, questions_in, metrics.clone()),
            self.store,
            self.inbox,
            memories,
            self.client,
            self.shared,
        );
        runtime.recording = self.recording;
        runtime.webhooks = Some(self.webhooks);
        runtime.retiring = self.retention.map(|retention| Retiring::new(retention, brain()));
        let mut tasks = JoinSet::new();
        tasks.spawn(named("API", serve_api(self.api, self.routes, self.api_tls, stop.clone())));
        tasks.spawn(named(
            "telemetry listener",
            serve_telemetry(self.telemetry, self.service, self.secured, stop.clone()),
        ));
        let pages = live::keep(self.pages, stop.clone());
        tasks.spawn(named("history", async {
            pages.await;
            Ok(())
        }));
        tasks.spawn(named("fleet watch", lasting(fleet.watch(self.mesh, proxies, stop.clone()))));
        let telling = task::run(histories, self.forecasts, metrics.clone(), stop.clone());
        tasks.spawn(named("forecasts", async {
            telling.await;
            Ok(())
        }));
        let watch = policy_files::watch(self.policies_dir, self.policies, metrics, stop.clone());
        tasks.spawn(named("policy watch", lasting(watch)));
        let watch = self.access.watch(self.data_dir, stop.clone());
        tasks.spawn(named("token watch", lasting(watch)));
        if let Some(advisor) = self.advisor {
            tasks.spawn(named("advisor", lasting(advisor.run(questions, self.asks, stop.clone()))));
        }
        if let Some((hook, console)) = self.notify {
            let told = notices::run(hook, console, runtime.events.subscribe(), stop.clone());
            tasks.spawn(named("notices", lasting(told)));
        }
        if let Some(anchoring) = self.anchoring {
            let anchored = anchors::run(anchoring, self.reader.clone(), stop.clone());
            tasks.spawn(named("anchoring", lasting(anchored)));
        }
        let mut turning = tokio::spawn(runtime.run(stop_loop.clone()));

        let died = tokio::select! {
            () = signal => None,
            ended = tasks.join_next() => Some(how_it_died(ended)),
            ended = &mut turning => Some(AppError::Died("control loop", panic_words(ended.err()))),
        };
        tracing::info!("stopping: live leases expire by themselves");
        stop.cancel();
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("some connections did not end in time; they are cut");
            tasks.abort_all();
        }
        // Readers go before the writer: the last one out merges the write-ahead log into the file.
        self.reader.close().await;
        stop_loop.cancel();
        if !turning.is_finished() && tokio::time::timeout(DRAIN, turning).await.is_err() {
            tracing::warn!("the control loop did not finish its turn in time");
        }
        died.map_or(Ok(()), Err)
    }
}

fn brain() -> Actor {
    Actor { kind: ActorKind::Brain, id: BRAIN_ID.to_owned() }
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
