//! The listening sockets: opened here, or open already.

use std::net::{SocketAddr, TcpListener};

use super::CannotStart;
use crate::hand_over::{Held, Predecessor, Taken};
use crate::listener;
use crate::settings::Settings;

/// Sockets that were open before this process, and whose they are.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For traffic; none: they are opened.
    pub main: Vec<TcpListener>,
    /// For operators; likewise.
    pub admin: Option<TcpListener>,
    /// The process that still serves from them.
    pub predecessor: Option<Predecessor>,
}

impl From<Taken> for Inherited {
    fn from(taken: Taken) -> Self {
        let (main, admin) = (taken.sockets.main, Some(taken.sockets.admin));
        Self { main, admin, predecessor: Some(taken.predecessor) }
    }
}

/// All that this process listens on.
pub(super) struct Sockets {
    /// For traffic, by worker.
    pub(super) main: Vec<Vec<TcpListener>>,
    pub(super) main_address: SocketAddr,
    pub(super) admin: TcpListener,
    pub(super) admin_address: SocketAddr,
    /// All of them again, for the next process.
    pub(super) held: Held,
}

impl Sockets {
    pub(super) fn open(
        settings: &Settings,
        main: Vec<TcpListener>,
        admin: Option<TcpListener>,
    ) -> Result<Self, CannotStart> {
        let listen = |key, address| move |why| CannotStart::Listen { address, key, why };
        let (at, workers) = (settings.server.bind, settings.server.workers);
        let inherited = !main.is_empty();
        let opened = if inherited { Ok(main) } else { listener::bind(at, workers) };
        let main = opened.and_then(|main| listener::divide(main, workers));
        let main = main.map_err(listen("server.port", at))?;
        let first = main.iter().flatten().next().ok_or_else(|| std::io::Error::other("no worker"));
        let main_address = first.and_then(TcpListener::local_addr).map_err(listen("server.port", at))?;
        let at = settings.admin.bind;
        let admin = admin.map_or_else(|| TcpListener::bind(at), Ok).map_err(listen("admin.port", at))?;
        let admin_address = admin.local_addr().map_err(listen("admin.port", at))?;
        let held = Held::new(main.iter().flatten(), &admin);
        let held = held.map_err(|why| CannotStart::System { what: "no more sockets", why })?;
        Ok(Self { main, main_address, admin, admin_address, held })
    }
}
