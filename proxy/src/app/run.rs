//! From the first request to the last.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::successor::Origin;
use super::{App, CannotStart, admin_url, say};
use crate::control::Control;
use crate::hand_over::{Door, Giver, Held, Predecessor};
use crate::identity::expiry;
use crate::observability::access_log::LogSender;
use crate::security::authentication::keep_keys;
use crate::upstream::{health_check, outlier};
use crate::worker::Lifecycle;
use crate::{admin, allocator, code_pages, file_watch, service_manager, supervise};

/// For aborted workers to leave.
const ABORT_WITHIN: Duration = Duration::from_secs(2);
/// For control's tasks to end: longer than a brain beside is given.
const CONTROL_WITHIN: Duration = Duration::from_secs(7);

/// For the access log's last lines.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By a drain, with the last request or at the drain's time limit.
    Drained,
    /// At once: a second signal came.
    Hurried,
    /// A worker ended by itself, which it never should.
    WorkerLost,
    /// The process that was to be taken over from goes on; this one drained.
    NotRelieved,
}

impl App {
    /// Serves until it has drained.
    ///
    /// # Errors
    /// [`CannotStart`] when threads or signals are not to be had.
    pub fn run(self) -> Result<Ending, CannotStart> {
        let system = |what| move |why| CannotStart::System { what, why };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(system("no control runtime"))?;
        let ending = runtime.block_on(self.serve());
        // A task that hangs in a file system must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        ending.map_err(system("cannot serve"))
    }

    async fn serve(self) -> io::Result<Ending> {
        let mut ends = Ends::listen()?;
        // Before anybody is told that this is ready: until then a hang-up would end the process.
        let hangup = signal(SignalKind::hangup())?;
        let upgrade = signal(SignalKind::user_defined2())?;
        let origin = Origin::of_this_process()?;
        let tasks = TaskTracker::new();
        let (lifecycle, server) = (self.data_path.lifecycle.clone(), self.settings.server.clone());
        let (stop, admin) = (self.stop.clone(), Arc::clone(&self.admin));
        let (main, admin_at) = (self.main_address, self.admin_address);
        let sinks = self.data_path.sinks.clone();
        let (held, control) = (self.giver.held.clone(), Arc::clone(&self.admin.control));
        let Started { mut workers, giver, predecessor } = self.start(&tasks)?;
        let relieved = relieve(predecessor, &control, &lifecycle).await;
        let door = giver.open();
        tasks.spawn(hand_over(giver, door, lifecycle.clone()));
        say(&format!("listening on {main}"));
        say(&format!("admin on {admin_at}"));
        say(&format!("sidecar-proxy ready: main={main} admin={admin_at}"));
        // Who is not relieved goes again.
        relieved.then(service_manager::ready);
        tasks.spawn(origin.start_successors(upgrade, lifecycle.drain.clone()));
        tasks.spawn(reload_on_hangup(hangup, admin, sinks.log.clone(), stop.clone()));
        end_with_standard_input(lifecycle.drain.clone());
        let ending = tokio::select! {
            ending = finish(&lifecycle, held, (server.drain, server.drain_timeout), &mut workers) => ending,
            () = ends.asked_twice(&lifecycle.drain) => Ending::Hurried,
        };
        lifecycle.drain.cancel();
        lifecycle.abort.cancel();
        stop.cancel();
        tasks.close();
        if timeout(CONTROL_WITHIN, tasks.wait()).await.is_err() {
            tracing::warn!("control did not end in time");
        }
        flush(sinks.log).await;
        Ok(if relieved { ending } else { Ending::NotRelieved })
    }

    /// Starts everything.
    fn start(self, tasks: &TaskTracker) -> io::Result<Started> {
        let gone = self.data_path.lifecycle.handed_over.clone();
        let control = Arc::clone(&self.admin.control);
        // What there may be only one of ends with the hand-over, while the drain goes on.
        let alone = self.stop.child_token();
        tasks.spawn(end_with(gone, alone.clone()));
        let (listener, admin, stop) = (self.admin_listener, Arc::clone(&self.admin), alone.clone());
        tasks.spawn(async move {
            if let Err(why) = admin::serve(listener, admin, stop).await {
                tracing::error!("the admin listener is lost: {why}");
            }
        });
        tasks.spawn(service_manager::watchdog(self.data_path.alive(), self.stop.clone()));
        tasks.spawn(self.data_path.look_out(&control, self.stop.clone()));
        tasks.spawn(file_watch::run(Arc::clone(&self.admin), self.stop.clone()));
        tasks.spawn(Arc::clone(&control).run_expiry(self.stop.clone()));
        tasks.spawn(health_check::run(control.table(), self.stop.clone()));
        tasks.spawn(expiry::run(control.table(), self.stop.clone()));
        tasks.spawn(keep_keys(control.table(), self.stop.clone()));
        tasks.spawn(outlier::sweep::run(control.table(), self.stop.clone()));
        let mut tap = None;
        if let Some(ai) = &self.settings.ai {
            let announced = admin_url(&self.settings, self.admin_address);
            let (workers_tap, stream) =
                self.data_path.telemetry(ai, &control, self.beside.as_ref(), announced, &alone);
            tap = Some(workers_tap);
            tasks.spawn(stream);
        }
        if let Some(exporter) = self.exporter {
            tasks.spawn(exporter.run(control.proxy.to_string(), self.stop.clone()));
        }
        if let Some(beside) = self.beside {
            say(&format!("brain beside: api={} telemetry={}", beside.api, beside.telemetry));
            tasks.spawn(supervise::run(beside, alone));
        }
        let overload = Arc::clone(&self.data_path.overload);
        let workers = self.data_path.start_workers(&control.table(), tap.as_ref())?;
        overload.begin(&self.settings.server.overload);
        // What reading the file took is needed no more.
        allocator::give_back();
        code_pages::give_back();
        Ok(Started { workers, giver: self.giver, predecessor: self.predecessor })
    }
}

/// What runs, and what is yet to be done once it does.
struct Started {
    /// Yields when a worker ends.
    workers: JoinSet<()>,
    giver: Giver,
    predecessor: Option<Predecessor>,
}

async fn end_with(gone: CancellationToken, alone: CancellationToken) {
    tokio::select! {
        () = gone.cancelled() => alone.cancel(),
        () = alone.cancelled() => {}
    }
}

/// Has the old process accept no more, now that this one does. Where it does not answer it goes on, and this
/// one must not: it drains what it has accepted.
async fn relieve(old: Option<Predecessor>, control: &Control, lifecycle: &Lifecycle) -> bool {
    let Some(old) = old else { return true };
    let relieved = tokio::task::spawn_blocking(move || old.relieve()).await;
    match relieved.map_err(io::Error::other).flatten() {
        Ok(false) => true,
        Ok(true) => {
            // It takes effect even where it cannot be written down.
            let _logged = control.freeze().await;
            true
        }
        Err(why) => {
            tracing::error!("the running process was not relieved and goes on: {why}");
            lifecycle.drain.cancel();
            false
        }
    }
}

/// Waits for a process that takes over; then this one accepts no more, and drains.
async fn hand_over(giver: Giver, door: Option<Door>, lifecycle: Lifecycle) {
    let Some(door) = door else { return };
    if giver.run(door, lifecycle.drain.clone()).await {
        // In this order: a worker that ends while nothing drains is taken for lost.
        lifecycle.drain.cancel();
        lifecycle.handed_over.cancel();
    }
}

/// The last lines of the access log: every request has ended by now.
async fn flush(log: Option<LogSender>) {
    if let Some(log) = log {
        let flushed = tokio::task::spawn_blocking(move || log.flush(FLUSH_WITHIN)).await;
        if !flushed.unwrap_or(false) {
            tracing::warn!("the last lines of the access log were not written in time");
        }
    }
}

/// Drains when standard input ends, where whoever started this proxy has said that it ends with it.
fn end_with_standard_input(drain: CancellationToken) {
    if std::env::var_os(protocol::ENDS_WITH_STDIN).is_none() {
        return;
    }
    // A thread of its own, left behind at the end: its read may never return.
    std::thread::spawn(move || {
        let _ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drain.cancel();
    });
}

/// Waits for a drain to begin, then sees it through.
async fn finish(
    lifecycle: &Lifecycle,
    held: Held,
    (open, limit): (Duration, Duration),
    workers: &mut JoinSet<()>,
) -> Ending {
    tokio::select! {
        biased;
        () = lifecycle.drain.cancelled() => {}
        _ = workers.join_next() => {
            tracing::error!("a worker has ended by itself; the process ends rather than serving by halves");
            return Ending::WorkerLost;
        }
    }
    let began = Instant::now();
    if !lifecycle.handed_over.is_cancelled() {
        service_manager::stopping();
    }
    tracing::info!("draining: listeners close in {open:?}, the process ends within {limit:?}");
    tokio::select! {
        () = sleep_until(began + open.min(limit)) => {}
        // With the listeners handed over, the last connection may end before.
        () = async { while workers.join_next().await.is_some() {} } => {}
    }
    held.let_go();
    lifecycle.stop_accepting.cancel();
    let all = async { while workers.join_next().await.is_some() {} };
    if timeout_at(began + limit, all).await.is_err() {
        tracing::warn!("the drain's time is over; {} workers still had requests", workers.len());
        lifecycle.abort.cancel();
        let rest = async { while workers.join_next().await.is_some() {} };
        // What does not even leave when aborted is left behind: the process ends.
        let _ = timeout(ABORT_WITHIN, rest).await;
    }
    Ending::Drained
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// The first begins the drain, the second is why this returns.
    async fn asked_twice(&mut self, begin: &CancellationToken) {
        self.next().await;
        begin.cancel();
        self.next().await;
        tracing::warn!("a second signal: ending at once");
    }

    async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            else => std::future::pending().await,
        }
    }
}

async fn reload_on_hangup(
    mut hangup: Signal,
    admin: Arc<admin::Admin>,
    log: Option<LogSender>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => {
                log.iter().for_each(LogSender::reopen);
                // A refusal is logged with its report where it is made.
                let _ = admin::reload(&admin).await;
                // A flood of signals is one reload a moment.
                sleep(Duration::from_millis(100)).await;
            }
            () = stop.cancelled() => return,
        }
    }
}
