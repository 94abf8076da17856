//! What systemd gives this process, and what it is told: sd_listen_fds(3), sd_notify(3). Where there is no
//! service manager, or another one without these variables, all of it is nothing.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::app::Inherited;

/// The name (`FileDescriptorName=`) of the operators' socket; every other one is for traffic.
const ADMIN: &str = "admin";
/// Variables that are for this process and not for its children.
pub(crate) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The sockets that were opened for this process. To be asked once, before there are threads.
///
/// # Errors
/// One of them is no listening TCP socket, or two are called `admin`.
pub fn listeners() -> io::Result<Inherited> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let (mut given, mut inherited) = (ListenFd::from_env(), Inherited::default());
    for n in 0..given.len() {
        let name = names.next().unwrap_or_default();
        let Some(listener) = given.take_tcp_listener(n)? else { continue };
        take(&mut inherited, listener, name)?;
    }
    Ok(inherited)
}

fn take(inherited: &mut Inherited, listener: TcpListener, name: &str) -> io::Result<()> {
    if !rustix::net::sockopt::socket_acceptconn(&listener)? {
        return Err(io::Error::other(format!("the socket {name:?} does not listen")));
    }
    if name != ADMIN {
        inherited.main.push(listener);
    } else if inherited.admin.replace(listener).is_some() {
        return Err(io::Error::other("two sockets are called admin"));
    }
    Ok(())
}

/// Traffic is served, by this process: it may have come in place of the one that was started.
pub(crate) fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready, NotifyState::Status("serving")]);
}

/// A reload begins.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    // One message: a manager that is told of a reload without its time gives the service up.
    now.into_iter().for_each(|now| tell(&[NotifyState::Reloading, now]));
}

/// A reload has ended.
pub(crate) fn reloaded(taken: bool) {
    let status =
        if taken { "serving" } else { "serving by the last good configuration, a reload was refused" };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A drain begins.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Says that this process is alive, for as long as `alive` says so, twice in the time that the manager
/// gives it.
pub(crate) async fn watchdog(alive: impl Fn(Duration) -> bool, stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else { return };
    let mut clock = interval(within / 2);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = stop.cancelled() => return,
        }
        if alive(within) {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                "a worker has not moved for {within:?}: the service manager is not told that all is well"
            );
        }
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(what) {
        tracing::warn!("the service manager cannot be told {what:?}: {why}");
    }
}
