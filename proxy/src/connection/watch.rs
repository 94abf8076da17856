//! Looks, at each tick of a connection, for how long nothing moved.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::{ClientConnection, Doing};
use crate::settings::Server;

/// A request under way of which nothing moved for so long is given up, unless the settings allow more.
const STALLED: Duration = Duration::from_secs(300);

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing that asks for anything to be done.
    Nothing,
    /// Between requests since the last tick at least.
    Quiet,
    /// Too long without a move.
    GiveUp,
}

/// See the module.
pub(super) struct Watch {
    tick: Pin<Box<Sleep>>,
    every: Duration,
    doing: Doing,
    since: Instant,
    resting: bool,
    head: Duration,
    idle: Duration,
    stalled: Duration,
    tunnel: Duration,
    body: Duration,
    body_rate: u32,
}

impl Watch {
    pub(super) fn new(server: &Server, connection: &ClientConnection) -> Self {
        let (head, idle) = (server.header_timeout, server.idle_timeout);
        let tunnel = server.tunnel_idle_timeout;
        let (body, body_rate) = (server.edge.body_timeout, server.edge.min_body_rate);
        let every = (head.min(idle).min(body).min(tunnel) / 4)
            .clamp(Duration::from_millis(20), Duration::from_millis(2_500));
        let stalled = STALLED.max(idle).max(server.request_timeout);
        let (doing, since) = (connection.doing(), Instant::now());
        let tick = Box::pin(sleep(every));
        Self { tick, every, doing, since, resting: false, head, idle, stalled, tunnel, body, body_rate }
    }

    /// To be called at each poll.
    pub(super) fn look(&mut self, connection: &ClientConnection, cx: &mut Context<'_>) -> Verdict {
        let mut verdict = Verdict::Nothing;
        while self.tick.as_mut().poll(cx).is_ready() {
            let (now, doing) = (Instant::now(), connection.doing());
            connection.check_uploads(now, self.body, self.body_rate);
            let patience = match doing {
                Doing::Serving { .. } => self.stalled,
                Doing::Tunnelling { .. } => self.tunnel,
                Doing::ReadingHead { .. } => self.head,
                Doing::Lingering { .. } => self.idle.min(self.tunnel),
                Doing::Idling { .. } | Doing::Offering { .. } => self.idle,
            };
            if doing != self.doing {
                (self.doing, self.since) = (doing, now);
            } else if now - self.since >= patience {
                return Verdict::GiveUp;
            } else if matches!(doing, Doing::Idling { .. }) {
                verdict = Verdict::Quiet;
            }
            self.tick.as_mut().reset(now + self.every);
        }
        verdict
    }

    /// The connection rests: it need not be looked at before it has idled too long.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
        self.resting = true;
        self.ring_at(self.since + self.idle, cx);
    }

    /// Ticks again where the client has broken its rest, if only with the first byte of a head.
    pub(super) fn resume_if_anything_came(&mut self, connection: &ClientConnection, cx: &mut Context<'_>) {
        if self.resting && connection.doing() != self.doing {
            self.resting = false;
            let now = Instant::now();
            (self.doing, self.since) = (connection.doing(), now);
            self.ring_at(now + self.every, cx);
        }
    }

    fn ring_at(&mut self, at: Instant, cx: &mut Context<'_>) {
        self.tick.as_mut().reset(at);
        if self.tick.as_mut().poll(cx).is_ready() {
            // Already over: it is seen at the next poll, which must come.
            cx.waker().wake_by_ref();
        }
    }
}
