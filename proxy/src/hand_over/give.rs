//! The old process's side.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::{FORMAT, Farewell, LeaseLeft, MESSAGE_WITHIN, Offer, READY_WITHIN, Ready, Sockets, rights};
use crate::control::Control;

/// The sockets once more, to be handed over. They must go before a worker closes its own: a socket that
/// is still open here would go on to collect connections that nobody accepts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<Mutex<Option<Sockets>>>);

impl Held {
    pub(crate) fn new<'a>(
        main: impl IntoIterator<Item = &'a TcpListener>,
        admin: &TcpListener,
    ) -> io::Result<Self> {
        let main = main.into_iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()?;
        Ok(Self(Arc::new(Mutex::new(Some(Sockets { main, admin: admin.try_clone()? })))))
    }

    /// There is nothing to be handed over any more.
    pub(crate) fn let_go(&self) {
        drop(self.sockets().take());
    }

    fn sockets(&self) -> MutexGuard<'_, Option<Sockets>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is handed over beside the sockets.
#[derive(Debug, Clone)]
pub struct Given {
    /// Where this process was told to listen: for traffic, for operators.
    pub told: [SocketAddr; 2],
    /// Where the brain beside listens.
    pub brain: Option<[SocketAddr; 2]>,
}

/// See the module above.
pub(crate) struct Giver {
    pub(crate) path: PathBuf,
    pub(crate) held: Held,
    pub(crate) given: Given,
    pub(crate) control: Arc<Control>,
}

impl Giver {
    /// Where a new process may knock; without it this one serves all the same.
    pub(crate) fn open(&self) -> Option<Door> {
        let path = self.path.display();
        let warn = |why: &io::Error| {
            tracing::warn!("the sockets cannot be handed over to a new process at {path}: {why}");
        };
        Door::open(&self.path).inspect_err(warn).ok()
    }

    /// Waits for a new process until a drain begins. True when one has taken over.
    pub(crate) async fn run(self, mut door: Door, drain: CancellationToken) -> bool {
        loop {
            let knocked = tokio::select! {
                knocked = door.next() => knocked,
                () = drain.cancelled() => return false,
            };
            match self.hand_over(knocked.and_then(tokio::net::UnixStream::into_std)).await {
                Ok(ready) => {
                    door.leave_name();
                    tracing::info!(pid = ready.pid, "a new process has taken over");
                    return true;
                }
                Err(why) => {
                    self.control.take_back();
                    tracing::warn!("a new process did not take over, this one goes on: {why}");
                }
            }
        }
    }

    async fn hand_over(&self, stream: io::Result<UnixStream>) -> io::Result<Ready> {
        let stream = stream?;
        let leases = self.control.hand_over().await;
        let (held, given, control) = (self.held.clone(), self.given.clone(), Arc::clone(&self.control));
        let exchange = move || {
            let ready = exchange(&stream, &held, given, leases)?;
            super::send(&stream, &Farewell { frozen: control.view().persisted.frozen })?;
            Ok(ready)
        };
        tokio::task::spawn_blocking(exchange).await.map_err(io::Error::other)?
    }
}

fn exchange(stream: &UnixStream, held: &Held, given: Given, leases: Vec<LeaseLeft>) -> io::Result<Ready> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(MESSAGE_WITHIN))?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    offer(stream, held, given, leases)?;
    super::receive(stream)
}

fn offer(stream: &UnixStream, held: &Held, given: Given, leases: Vec<LeaseLeft>) -> io::Result<()> {
    let sockets = held.sockets();
    let sockets = sockets.as_ref().ok_or_else(|| io::Error::other("this process drains"))?;
    let Given { told: [main, admin], brain } = given;
    let (pid, count) = (std::process::id(), sockets.main.len());
    super::send(stream, &Offer { format: FORMAT, pid, main, admin, sockets: count, leases, brain })?;
    let all: Vec<_> = sockets.main.iter().chain([&sockets.admin]).map(AsFd::as_fd).collect();
    rights::send(stream, &all)
}
