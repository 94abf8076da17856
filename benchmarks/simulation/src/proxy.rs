//! One proxy: the real owner of its leases, its real state file, and a wall clock that may be wrong.

use std::path::PathBuf;
use std::sync::Arc;

use ::brain::domain::{Command, Outcome, Refusal, Verb};
use ::proxy::control::{Control, View};
use ::proxy::settings::{Given, Settings};
use ::proxy::state_file::StateFile;
use ::proxy::upstream::sessions::Secret;
use jiff::Timestamp;
use protocol::document::Document;
use protocol::id::{ActionId, Epoch, ProxyId};
use protocol::snapshot::{BreakerState, EndpointStatus, Health, ProxyStatus, ServiceStatus};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The services that every proxy has: five endpoints each, the last of which runs v2.
pub const SERVICES: [&str; 2] = ["cart", "catalog"];
/// Endpoints of each.
pub const ENDPOINTS: usize = 5;

/// The name of an endpoint.
pub fn endpoint(service: usize, endpoint: usize) -> String {
    format!("10.0.{service}.{}:80", endpoint + 1)
}

/// The version it runs.
pub fn version(endpoint: usize) -> &'static str {
    if endpoint + 1 == ENDPOINTS { "v2" } else { "v1" }
}

/// The file that all proxies have.
fn settings() -> Arc<Settings> {
    let mut text =
        "server: { port: 0, bind_address: 127.0.0.1 }\nadmin: { port: 0 }\nupstream:\n  services:\n"
            .to_owned();
    for (s, name) in SERVICES.iter().enumerate() {
        text.push_str(&format!("    {name}:\n      endpoints:\n"));
        for e in 0..ENDPOINTS {
            let (id, version) = (endpoint(s, e), version(e));
            let address = id.trim_end_matches(":80");
            text.push_str(&format!("        - {{ address: {address}, port: 80, version: {version} }}\n"));
        }
    }
    let given = Given { ai_enabled: false, ai_mode: None, host_name: "sim".to_owned(), cores: 1 };
    Arc::new(Settings::from_document(&Document::parse("sim.yaml", &text).unwrap(), &given).unwrap())
}

pub struct Proxy {
    pub name: String,
    pub control: Arc<Control>,
    /// Of its wall clock, milliseconds.
    pub clock_off_ms: i64,
    /// Until then it is starting, milliseconds since the start.
    pub down_until_ms: i64,
    pub seq: u64,
    settings: Arc<Settings>,
    folder: PathBuf,
    lives: u32,
    _expiry: DropGuard,
}

impl Proxy {
    pub fn start(name: &str, folder: PathBuf) -> Self {
        let settings = settings();
        let (control, expiry) = live(name, &settings, &folder, 1);
        Self {
            name: name.to_owned(),
            control,
            clock_off_ms: 0,
            down_until_ms: 0,
            seq: 0,
            settings,
            folder,
            lives: 1,
            _expiry: expiry,
        }
    }

    /// Dies and starts again from its state file; it does not where that cannot be written.
    pub fn restart(&mut self, now_ms: i64) {
        if self.is_disk_broken() {
            return;
        }
        self.lives += 1;
        (self.control, self._expiry) = live(&self.name, &self.settings, &self.folder, self.lives);
        self.down_until_ms = now_ms + 300;
        self.seq = 0;
    }

    /// Its state file cannot be written, or can again.
    pub fn set_disk(&self, broken: bool) {
        let (good, away) = (self.folder.clone(), self.folder.with_extension("away"));
        let file = |folder: &PathBuf| folder.is_file();
        if broken && good.is_dir() {
            std::fs::rename(&good, &away).unwrap();
            std::fs::write(&good, "no folder").unwrap();
        } else if !broken && file(&good) {
            std::fs::remove_file(&good).unwrap();
            std::fs::rename(&away, &good).unwrap();
        }
    }

    fn is_disk_broken(&self) -> bool {
        self.folder.is_file()
    }

    /// Does what it is asked at `wall_ms`, as its admin listener would.
    pub async fn obey(&self, command: &Command, wall_ms: i64) -> Outcome {
        let Ok(id) = ActionId::new(command.action.clone()) else { return refused(422, "the action's id") };
        let done = match &command.verb {
            Verb::Put(request) => {
                // Over the wire: what cannot be written as JSON and read again does not arrive.
                let text = serde_json::to_string(request).unwrap();
                match serde_json::from_str(&text) {
                    Ok(request) => self.control.put(id, request).await,
                    Err(why) => return refused(422, &why.to_string()),
                }
            }
            Verb::Renew(request) => self.control.renew(&id, *request).await,
            Verb::Remove { epoch } => match self.control.undo(&id, Epoch(*epoch)).await {
                Ok(_) => return Outcome::Removed,
                Err(why) if why.problem().status == 404 => return Outcome::Removed,
                Err(why) => Err(why),
            },
        };
        match done {
            Ok(mut receipt) => {
                // The one clock that the real proxy reads by itself; by it no two runs were the same.
                let lives = receipt.expires_at.duration_since(receipt.applied_at);
                receipt.applied_at = Timestamp::from_millisecond(wall_ms).unwrap();
                receipt.expires_at = receipt.applied_at + lives;
                Outcome::Taken(receipt)
            }
            Err(why) => {
                // Where the state file happens to be is no part of the world.
                let place = self.folder.display().to_string();
                refused(why.problem().status, &why.to_string().replace(&place, "STATE"))
            }
        }
    }

    pub fn view(&self) -> View {
        self.control.view()
    }

    /// What `GET /status` says.
    pub fn status(&self) -> ProxyStatus {
        let view = self.control.view();
        let services = view.table.live.services.iter().map(|(name, service)| ServiceStatus {
            service: name.clone(),
            algorithm: "round_robin".to_owned(),
            endpoints: service.endpoints.iter().map(endpoint_status).collect(),
        });
        ProxyStatus {
            proxy: ProxyId::new(self.name.clone()).unwrap(),
            boot: self.control.boot.clone(),
            version: "0".to_owned(),
            protocol: protocol::PROTOCOL_VERSION,
            uptime_s: view.uptime.as_secs(),
            config_hash: self.settings.hash.clone(),
            live_state_hash: view.table.live.hash.clone(),
            epoch: view.persisted.epoch,
            frozen: view.persisted.frozen,
            draining: false,
            services: services.collect(),
            leases: view.leases,
            promotions: Default::default(),
        }
    }
}

fn endpoint_status(live: &::proxy::live_state::LiveEndpoint) -> EndpointStatus {
    EndpointStatus {
        endpoint: live.settings.id.clone(),
        version: live.settings.version.clone(),
        health: Health::Unknown,
        weight_configured: live.settings.weight,
        weight: if live.ejected { 0 } else { live.weight },
        ejected: live.ejected,
        breaker: BreakerState::Closed,
        outlier: None,
        in_flight: 0,
    }
}

fn live(
    name: &str,
    settings: &Arc<Settings>,
    folder: &std::path::Path,
    life: u32,
) -> (Arc<Control>, DropGuard) {
    let (file, held) = StateFile::open(&folder.join("state.json")).unwrap();
    let id = ProxyId::new(name.to_owned()).unwrap();
    let secret = Secret::new([7; 32]);
    let control = Control::start(Arc::clone(settings), id, format!("{name}-{life}"), file, held, secret);
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&control).run_expiry(stop.clone()));
    (control, stop.drop_guard())
}

fn refused(status: u16, detail: &str) -> Outcome {
    Outcome::Refused(Refusal { status, detail: detail.to_owned() })
}
