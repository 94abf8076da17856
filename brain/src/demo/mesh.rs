//! The demo's mesh: origins, a proxy in front of each, and the brain, every one a real process.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::fault::{Fault, SICK_ENDPOINT};
use super::process::Process;
use crate::domain::Mode;
use crate::token::Token;

/// The chain: each service, how many endpoints it has, in the order they must be started.
const SERVICES: [(&str, u16, &str); 3] = [("catalog", 2, "cart"), ("cart", 5, "web"), ("web", 1, "internet")];

/// Whether there is a brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brain {
    /// It watches and mends.
    On,
    /// The proxies are alone.
    Off,
}

/// A whole mesh, running.
pub struct Mesh {
    origins: Vec<Process>,
    proxies: Vec<Process>,
    brain: Option<Process>,
    cart_control: String,
    /// Where the run keeps its files, the brain's among them.
    pub dir: PathBuf,
    /// Where users knock.
    pub front_door: String,
    /// The brain's API, where there is a brain.
    pub api: Option<String>,
    /// The endpoint that will be sick.
    pub sick_endpoint: String,
    /// Admin listener of the proxy in front of `cart`.
    pub cart_admin: String,
}

/// The folder of a run: the given one, or a new one among the system's temporary files.
///
/// # Errors
/// When it cannot be made.
pub fn data_dir(given: Option<&Path>) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("lightsout-demo-{}", std::process::id())),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))
}

impl Mesh {
    /// Starts everything, callee before caller, and waits until each part is ready.
    ///
    /// # Errors
    /// The first part that does not come up, with the end of its log.
    pub async fn start(dir: &Path, brain: Brain, mode: Mode, api_port: u16) -> Result<Self> {
        let lightsout = std::env::current_exe().context("cannot find the lightsout executable")?;
        let sidecar = lightsout.with_file_name("sidecar-proxy");
        let brain = match brain {
            Brain::On => Some(start_brain(&lightsout, dir, mode, api_port).await?),
            Brain::Off => None,
        };
        let mut origins = Vec::new();
        let mut proxies: Vec<Process> = Vec::new();
        let mut next: Option<String> = None;
        for (service, endpoints, caller) in SERVICES {
            let origin = start_origin(&lightsout, dir, service, endpoints, next.as_deref()).await?;
            let config = proxy_config(dir, service, caller, &origin, brain.as_ref())?;
            let arguments = ["start".to_owned(), "--config".to_owned(), config.display().to_string()];
            let proxy = Process::start(&format!("{service}-proxy"), &sidecar, &arguments, dir).await?;
            next = Some(format!("http://{}", proxy.address("main")?));
            origins.push(origin);
            proxies.push(proxy);
        }
        let cart = &origins[1];
        let sick = cart.address("endpoints")?.split(',').nth(SICK_ENDPOINT);
        Ok(Self {
            dir: dir.to_owned(),
            cart_control: format!("http://{}", cart.address("control")?),
            sick_endpoint: sick.context("cart has too few endpoints")?.to_owned(),
            cart_admin: format!("http://{}", proxies[1].address("admin")?),
            front_door: next.context("there is no front door")?,
            api: brain.as_ref().map(|b| b.address("api").map(|a| format!("http://{a}"))).transpose()?,
            origins,
            proxies,
            brain,
        })
    }

    /// Makes the sick endpoint sick, or well again.
    ///
    /// # Errors
    /// When the origin does not take it.
    pub async fn set_fault(&self, fault: Fault) -> Result<()> {
        let url = format!("{}/fault/{SICK_ENDPOINT}/{}", self.cart_control, fault.name());
        reqwest::Client::new().post(url).send().await?.error_for_status()?;
        Ok(())
    }

    /// Fails when a part has ended by itself.
    ///
    /// # Errors
    /// Names the part.
    pub fn still_running(&mut self) -> Result<()> {
        self.origins
            .iter_mut()
            .chain(&mut self.proxies)
            .chain(&mut self.brain)
            .try_for_each(Process::still_running)
    }

    /// Stops everything, caller before callee.
    pub async fn stop(self) {
        for process in self.brain.into_iter().chain(self.proxies.into_iter().rev()).chain(self.origins) {
            process.stop().await;
        }
    }
}

async fn start_brain(lightsout: &Path, dir: &Path, mode: Mode, api_port: u16) -> Result<Process> {
    let mode = serde_json::to_value(mode)?;
    let api_port = if TcpListener::bind(("127.0.0.1", api_port)).is_ok() { api_port } else { 0 };
    let token = mesh_token(dir)?;
    let config = dir.join("brain.yaml");
    let text = format!(
        "api: {{ bind_address: 127.0.0.1, port: {api_port} }}\n\
         telemetry: {{ bind_address: 127.0.0.1, port: 0, token_path: {token} }}\n\
         mesh_token_path: {token}\nmode: {mode}\ndata_dir: {dir}\n",
        token = quoted(&token),
        mode = mode.as_str().unwrap_or("advisory"),
        dir = quoted(dir),
    );
    std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    // What it sees is kept, so that an edited policy can be tried on it.
    let recordings = dir.join(crate::backtest::FOLDER);
    std::fs::create_dir_all(&recordings).with_context(|| format!("cannot make {}", recordings.display()))?;
    let record = recordings.join("demo.jsonl").display().to_string();
    let config = config.display().to_string();
    let arguments =
        ["brain", "--config", &config, "--record", &record, "--record-max-mb", "64"].map(str::to_owned);
    Process::start("lightsout", lightsout, &arguments, dir).await
}

async fn start_origin(
    lightsout: &Path,
    dir: &Path,
    service: &str,
    endpoints: u16,
    next: Option<&str>,
) -> Result<Process> {
    let mut arguments = vec!["demo-origin".to_owned(), "--service".to_owned(), service.to_owned()];
    arguments.extend(["--endpoints".to_owned(), endpoints.to_string()]);
    if let Some(next) = next {
        arguments.extend(["--calls".to_owned(), next.to_owned()]);
    }
    Process::start(service, lightsout, &arguments, dir).await
}

/// The proxy's configuration. Health checks run at the usual leisurely pace; the local breaker is
/// off, so that the two runs of the demo compare the brain with no brain and nothing else.
fn proxy_config(
    dir: &Path,
    service: &str,
    caller: &str,
    origin: &Process,
    brain: Option<&Process>,
) -> Result<PathBuf> {
    let token = mesh_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 1, drain_ms: 100, trusted_proxies: [127.0.0.1/32] }\n",
    );
    writeln!(
        text,
        "admin: {{ bind_address: 127.0.0.1, port: 0, token_path: {}, state_path: {} }}",
        quoted(&token),
        quoted(&dir.join(format!("{service}-proxy.state"))),
    )?;
    writeln!(text, "circuit_breaker: {{ enabled: false }}")?;
    writeln!(text, "upstream:\n  services:\n    {service}:\n      endpoints:")?;
    for endpoint in origin.address("endpoints")?.split(',') {
        let (address, port) = endpoint.rsplit_once(':').context("an endpoint without a port")?;
        writeln!(text, "        - {{ address: {address}, port: {port}, weight: 100, version: v1 }}")?;
    }
    writeln!(text, "      health_check: {{ enabled: true, path: /health, interval_ms: 5000 }}")?;
    if let Some(brain) = brain {
        writeln!(
            text,
            "ai: {{ enabled: true, brain: \"http://{}\", token_path: {}, proxy_id: {service}-proxy, caller: {caller} }}",
            brain.address("telemetry")?,
            quoted(&token),
        )?;
    }
    let path = dir.join(format!("{service}-proxy.yaml"));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// One token for the whole loopback mesh: proxies show it to the brain, the brain to the proxies.
fn mesh_token(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("mesh.token");
    Token::read_or_make(&path)?;
    Ok(path)
}

/// A path as a YAML double-quoted scalar, which is a JSON string.
fn quoted(path: &Path) -> String {
    serde_json::Value::String(path.display().to_string()).to_string()
}
