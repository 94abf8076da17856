//! One worker: a thread, a runtime, a listening socket, pools and telemetry of its own.
//!
//! Workers share the table's pointer, endpoints' weather and one connection count; all of them
//! atomics. Nothing is locked per request.

mod acceptance;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::thread;

use http::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::clock;
use crate::error::Refusal;
use crate::middleware::request_id::RequestIds;
use crate::observability::{Observer, Sinks};
use crate::overload::Overload;
use crate::pipeline::Asker;
use crate::routing::view::{Target, View};
use crate::signals::{Phase, Signals};
use crate::table::SharedTable;
use crate::telemetry::Outcome;
use crate::telemetry::cells::Ended;
use crate::telemetry::clients::ClientOutcome;
use crate::telemetry::recorder::{Recorder, Tap};
use crate::telemetry::shard::Shard;

/// How the proxy goes down, one step after the other.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Answers say that the connection closes; new ones are still taken.
    pub drain: CancellationToken,
    /// Another process accepts from the same sockets now; this one does so no more.
    pub handed_over: CancellationToken,
    /// No new connections; idle ones are closed.
    pub stop_accepting: CancellationToken,
    /// Everything still open is given up.
    pub abort: CancellationToken,
}

/// What a worker is given.
#[derive(Debug)]
pub struct WorkerArgs {
    /// Its number, from 0.
    pub index: usize,
    /// Its sockets: one of [`crate::listener::bind`]'s, or some of those that were handed over.
    pub listeners: Vec<std::net::TcpListener>,
    /// What it serves by.
    pub table: SharedTable,
    /// Its own counters.
    pub shard: Arc<Shard>,
    /// Client connections open now, over all workers.
    pub connections: Arc<AtomicUsize>,
    /// How it ends.
    pub lifecycle: Lifecycle,
    /// Where its windows go; absent: nothing is recorded.
    pub windows: Option<Tap>,
    /// What the process can bear.
    pub overload: Arc<Overload>,
    /// Where records of requests are left.
    pub sinks: Sinks,
}

/// A running worker.
#[derive(Debug)]
pub struct WorkerHandle {
    thread: thread::JoinHandle<()>,
    ended: CancellationToken,
}

impl WorkerHandle {
    /// Waits until it has ended: its listener closed and its last connection gone, or aborted.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Blocks until its thread is gone.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn join(self) -> thread::Result<()> {
        self.thread.join()
    }
}

/// Starts a worker.
///
/// # Errors
/// No runtime, no thread, or a listener that cannot be used.
pub fn spawn(args: WorkerArgs) -> io::Result<WorkerHandle> {
    args.listeners.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let named = thread::Builder::new().name(format!("worker-{}", args.index));
    let (tell, told) = mpsc::sync_channel(1);
    let thread = named.spawn(move || {
        // Its tasks never leave this thread, so it may not either.
        let built = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let (runtime, result) = match built {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(why) => (None, Err(why)),
        };
        let _told = tell.send(result);
        if let Some(runtime) = runtime {
            run_thread(&runtime, args);
        }
        drop(guard);
    })?;
    told.recv().unwrap_or_else(|lost| Err(io::Error::other(lost)))?;
    Ok(WorkerHandle { thread, ended })
}

fn run_thread(runtime: &LocalRuntime, args: WorkerArgs) {
    let _inside = runtime.enter();
    let listeners: io::Result<Vec<_>> = args.listeners.into_iter().map(TcpListener::from_std).collect();
    let listeners = match listeners {
        Ok(listeners) => listeners,
        Err(why) => return warn!(worker = args.index, %why, "a worker cannot use its listener"),
    };
    let view = Rc::new(View::build(args.table.load_full(), None, &args.shard, args.index));
    let worker = Rc::new(Worker {
        index: args.index,
        table: args.table,
        view: RefCell::new(view),
        shard: args.shard,
        recorder: Recorder::new(args.windows.is_some()),
        request_ids: RequestIds::default(),
        signals: Signals::default(),
        rested: Cell::new(0),
        connections: args.connections,
        overload: args.overload,
        observer: Observer::new(args.sinks),
    });
    runtime.block_on(run(worker, listeners, args.lifecycle, args.windows));
}

async fn run(worker: Rc<Worker>, listeners: Vec<TcpListener>, lifecycle: Lifecycle, tap: Option<Tap>) {
    tokio::task::spawn_local(upkeep::follow(Rc::clone(&worker), lifecycle.clone()));
    tokio::task::spawn_local(upkeep::keep_up(Rc::clone(&worker)));
    tokio::task::spawn_local(upkeep::make_room(Rc::clone(&worker)));
    if let Some(tap) = &tap {
        tokio::task::spawn_local(upkeep::report(Rc::clone(&worker), tap.clone()));
    }
    let serving = TaskTracker::new();
    tokio::select! {
        () = acceptance::from_all(&worker, &listeners, &serving) => {}
        // What waits there is the other process's.
        () = lifecycle.handed_over.cancelled() => {}
        () = lifecycle.stop_accepting.cancelled() => {
            for listener in &listeners {
                acceptance::of_what_waits(&worker, listener, &serving).await;
            }
        }
        () = lifecycle.abort.cancelled() => {}
    }
    drop(listeners);
    serving.close();
    tokio::select! {
        () = serving.wait() => {}
        () = lifecycle.abort.cancelled() => {}
    }
    tap.iter().for_each(|tap| worker.hand_in(tap));
}

/// What one worker's tasks share.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    table: SharedTable,
    view: RefCell<Rc<View>>,
    connections: Arc<AtomicUsize>,
    pub(crate) overload: Arc<Overload>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) recorder: Recorder,
    pub(crate) request_ids: RequestIds,
    pub(crate) observer: Rc<Observer>,
    pub(crate) signals: Signals,
    /// Connections that came to rest since memory was last given back to the system.
    rested: Cell<u32>,
}

impl Worker {
    /// The table as this worker reads it, read anew if it was swapped.
    pub(crate) fn view(&self) -> Rc<View> {
        let table = self.table.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(&table, &view.table) {
            *view = Rc::new(View::build(Arc::clone(&table), Some(&view), &self.shard, self.index));
        }
        Rc::clone(&view)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.signals.phase() >= Phase::Draining
    }

    /// Breakers' time: milliseconds since the process began to serve.
    pub(crate) fn now_ms(&self, now: Instant) -> u64 {
        clock::ms_at(now)
    }

    /// A connection has given its buffers back.
    pub(crate) fn note_rest(&self) {
        self.rested.set(self.rested.get().saturating_add(1));
    }

    /// Counts a request that was refused here.
    pub(crate) fn refuse(&self, asker: Asker, started: Instant, refusal: Refusal) -> Refusal {
        self.shard.request(refusal.status().is_server_error(), started.elapsed());
        self.recorder.client(asker.ip, asker.path, refusal.for_client());
        refusal
    }

    /// Counts a request that was answered here, as its route says.
    pub(crate) fn answered(&self, asker: Asker, started: Instant, status: StatusCode) {
        self.shard.request(status.is_server_error(), started.elapsed());
        let client = if status.is_client_error() { ClientOutcome::Refused4xx } else { ClientOutcome::Fine };
        self.recorder.client(asker.ip, asker.path, client);
    }

    /// A request to a known service found no endpoint: the service's telemetry shows it.
    pub(crate) fn note_nowhere(&self, target: &Target, route: &Arc<str>, asker: Asker, started: Instant) {
        let cell = self.recorder.begin(&target.service.nowhere, route, asker.caller);
        let status = Refusal::NoEndpoint.status().as_u16();
        let outcome = Outcome::Status(status);
        let ended = Ended { outcome, took: started.elapsed(), bytes_in: 0, bytes_out: 0 };
        self.recorder.end(cell, Some(&ended));
    }

    fn hand_in(&self, tap: &Tap) {
        if let Some(window) = self.recorder.take() {
            // A full channel means that control is stuck; requests do not wait for it.
            let _lost_when_full = tap.sender.try_send(window);
        }
    }
}
