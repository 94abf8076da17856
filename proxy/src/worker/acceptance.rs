//! How a worker takes connections in: up to the bounds, and in good order where descriptors run out.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Worker;
use crate::connection;
use crate::overload::{self, Spare};

/// After an accept failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Never ends by itself.
pub(super) async fn from_all(worker: &Rc<Worker>, listeners: &[TcpListener], serving: &TaskTracker) {
    futures_util::future::join_all(listeners.iter().map(|one| accept(worker, one, serving))).await;
}

async fn accept(worker: &Rc<Worker>, listener: &TcpListener, serving: &TaskTracker) {
    let mut spare = Spare::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => worker.take_in(stream, peer, serving),
            Err(why) if overload::is_exhausted(&why) => {
                let turned_away = spare.turn_away(listener);
                worker.shard.connections_refused("descriptors", turned_away);
                sleep(ACCEPT_PAUSE / if turned_away > 0 { 10 } else { 1 }).await;
            }
            Err(why) => {
                debug!(%why, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections that the kernel has already taken would be reset with the listener: they are served.
pub(super) async fn of_what_waits(worker: &Rc<Worker>, listener: &TcpListener, serving: &TaskTracker) {
    let waiting = async {
        while let Ok((stream, peer)) = listener.accept().await {
            worker.take_in(stream, peer, serving);
        }
    };
    let _none_left = timeout(Duration::from_millis(1), waiting).await;
}

impl Worker {
    fn take_in(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, serving: &TaskTracker) {
        let most = self.view().table.live.settings.server.max_connections;
        let open = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let too_many = if open > most {
            Some("max_connections")
        } else {
            self.overload.refuses_connection(open).then_some("overload")
        };
        if let Some(reason) = too_many {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.shard.connections_refused(reason, 1);
            return;
        }
        self.shard.connection_opened();
        let worker = Rc::clone(self);
        serving.spawn_local(async move {
            let counted = Counted(Rc::clone(&worker));
            connection::serve(worker, stream, peer).await;
            drop(counted);
        });
    }
}

/// One open client connection.
struct Counted(Rc<Worker>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.shard.connection_closed();
    }
}
