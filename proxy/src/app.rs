//! The parts put together once, and taken apart in order.
//!
//! Start: everything that can fail for want of a file or a port is done before the first request is
//! taken. Workers have threads of their own; admin, health checks, expiry, telemetry and the brain beside
//! share one more. End: readiness off, listeners closed, requests finished, then control: each bounded.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use protocol::id::{BadName, ProxyId};
use tokio_util::sync::CancellationToken;

use trust::hosts::Hosts;
use trust::lockout::Lockout;

use crate::admin::{Admin, Listeners, Refusals, Tokens};
use crate::control::Control;
use crate::hand_over::{CannotTake, Given, Giver, Predecessor};
use crate::observability::Sinks;
use crate::observability::spans::Exporter;
use crate::settings::Settings;
use crate::source::Source;
use crate::state_file::{BadState, StateFile};
use crate::supervise::{self, Beside, CannotPrepare, Neighbour};
use crate::token::{NoToken, Token};
use crate::upstream::sessions::Secret;

mod data_path;
mod run;
mod sockets;
mod successor;

pub use run::Ending;
pub use sockets::Inherited;

use data_path::DataPath;
use sockets::Sockets;

/// Why the proxy cannot start; nothing has been served.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// No listener.
    #[error("cannot listen on {address}: {why}; stop what uses the address, or change {key}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Which key names it.
        key: &'static str,
        /// What the system says.
        why: io::Error,
    },
    /// No token.
    #[error(transparent)]
    Token(#[from] NoToken),
    /// No state.
    #[error(transparent)]
    State(#[from] BadState),
    /// No brain beside.
    #[error(transparent)]
    Brain(#[from] CannotPrepare),
    /// Nothing to take over.
    #[error(transparent)]
    TakeOver(#[from] CannotTake),
    /// No id.
    #[error("no id for this proxy: {0}")]
    Id(#[from] BadName),
    /// No threads, no randomness.
    #[error("{what}: {why}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        why: io::Error,
    },
}

/// A proxy, built and bound, not yet serving.
pub struct App {
    settings: Arc<Settings>,
    admin: Arc<Admin>,
    admin_listener: TcpListener,
    admin_address: SocketAddr,
    main_address: SocketAddr,
    data_path: DataPath,
    beside: Option<Beside>,
    exporter: Option<Exporter>,
    giver: Giver,
    predecessor: Option<Predecessor>,
    stop: CancellationToken,
}

impl App {
    /// Opens every file and binds every port that is not `inherited`.
    ///
    /// # Errors
    /// [`CannotStart`], one clear message.
    pub fn build(settings: Arc<Settings>, source: Source, inherited: Inherited) -> Result<Self, CannotStart> {
        let (state_file, held) = StateFile::open(&settings.admin.state_path)?;
        let operator = own_token(&settings.admin.token_path, "admin")?;
        let viewer = settings.admin.viewer_token_path.as_deref();
        let viewer = viewer.map(|path| own_token(path, "viewer's")).transpose()?;
        let Inherited { main, admin, mut predecessor } = inherited;
        let Sockets { main, main_address, admin: admin_listener, admin_address, held: again } =
            Sockets::open(&settings, main, admin)?;
        let boot = random_name()?;
        let proxy = proxy_id(&settings, &source, main_address)?;
        let usual = predecessor.as_ref().and_then(|old| old.brain);
        let beside = brain_beside(&settings, &proxy, admin_address, usual)?;
        let sessions = Secret::new(operator.key_for("sticky sessions"));
        let control = Control::start(Arc::clone(&settings), proxy, boot, state_file, held, sessions);
        control.adopt(predecessor.as_mut().map(|old| std::mem::take(&mut old.leases)).unwrap_or_default());
        control.reloads.will_read(source.fingerprint(&settings));
        let opened = Sinks::open(&settings.observability);
        let (sinks, exporter) = opened.map_err(|why| CannotStart::System { what: "the access log", why })?;
        let data_path = DataPath::new(main, sinks);
        let giver = Giver {
            path: settings.admin.hand_over_path.clone(),
            held: again,
            given: Given {
                told: [settings.server.bind, settings.admin.bind],
                brain: beside.as_ref().map(|brain| [brain.api, brain.telemetry]),
            },
            control: Arc::clone(&control),
        };
        let admin = Arc::new(Admin {
            control,
            tokens: Tokens { operator, viewer },
            lockout: Lockout::default(),
            hosts: hosts(&settings, &source.given.host_name),
            drain: data_path.lifecycle.drain.clone(),
            listeners: Listeners { main: main_address, admin: admin_address },
            source,
            refusals: Refusals::default(),
            readings: data_path.readings(),
        });
        let stop = CancellationToken::new();
        Ok(Self {
            settings,
            admin,
            admin_listener,
            admin_address,
            main_address,
            data_path,
            beside,
            exporter,
            giver,
            predecessor,
            stop,
        })
    }
}

fn own_token(path: &Path, name: &str) -> Result<Token, NoToken> {
    let (token, was_made) = Token::load_or_make(path)?;
    if was_made {
        say(&format!("made the {name} token {}", path.display()));
    }
    Ok(token)
}

/// One line on standard output; a closed one is nobody's loss.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The configured id, or one from the machine's name and the real port, which port 0 did not know yet.
fn proxy_id(settings: &Settings, source: &Source, main: SocketAddr) -> Result<ProxyId, BadName> {
    let unknown = source.given.proxy_id(0);
    let configured = settings.ai.as_ref().map(|ai| ai.proxy.clone());
    let named =
        configured.filter(|id| Some(id) != unknown.as_ref()).or_else(|| source.given.proxy_id(main.port()));
    named.map_or_else(|| ProxyId::new("proxy"), Ok)
}

/// Where the brain finds the admin listener, unless `ai.admin_url` says.
fn admin_url(settings: &Settings, admin: SocketAddr) -> String {
    let configured = settings.ai.as_ref().and_then(|ai| ai.admin_url.clone());
    configured.unwrap_or_else(|| {
        let ip = if admin.ip().is_unspecified() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { admin.ip() };
        let scheme = if settings.admin.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(ip, admin.port()))
    })
}

/// The names under which operators and the brain come: those that are listed, this machine's, and the announced one.
fn hosts(settings: &Settings, host_name: &str) -> Hosts {
    let announced = settings.ai.as_ref().and_then(|ai| ai.admin_url.as_ref()?.parse::<http::Uri>().ok());
    let announced = announced.as_ref().and_then(http::Uri::host).map(str::to_owned);
    let own = Some(host_name.to_owned()).filter(|name| !name.is_empty());
    Hosts::new(settings.admin.allowed_hosts.iter().cloned().chain(announced).chain(own))
}

fn brain_beside(
    settings: &Settings,
    proxy: &ProxyId,
    admin: SocketAddr,
    usual: Option<[SocketAddr; 2]>,
) -> Result<Option<Beside>, CannotPrepare> {
    let wanted = settings.ai.as_ref().filter(|ai| ai.brain.is_none());
    let Some(ai) = wanted else { return Ok(None) };
    let admin_url = admin_url(settings, admin);
    let neighbour = Neighbour { proxy, admin_url: &admin_url, admin_token: &settings.admin.token_path };
    supervise::prepare(ai, &neighbour, usual).map(Some)
}

fn random_name() -> Result<String, CannotStart> {
    let mut bytes = [0u8; 8];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|why| CannotStart::System { what: "no randomness", why: io::Error::other(why) })?;
    Ok(hex::encode(bytes))
}
