//! Three kinds of silence, kept apart; none of them is a fault of the service.
//!
//! A service that nobody asks is told of by proxies that go on reporting. A proxy whose windows no longer
//! come while it still answers on its admin listener serves, unseen. A proxy that is heard of in neither way
//! is lost, and with it perhaps what it carried.

use super::{MeshState, Service};
use crate::domain::Silence;

/// A proxy whose newest window is so old tells nothing now, milliseconds: windows come each second and may
/// be up to 5 s late.
const MUTE_MS: i64 = 6_000;
/// Requests are looked for so far back, seconds.
const LATELY_S: i64 = 10;

/// What is heard of one service's proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Those that live and report nothing, by id.
    pub mute: Vec<String>,
    /// Those of which nothing is heard at all, by id.
    pub lost: Vec<String>,
    /// Why nothing is known of the service now; absent: it is asked, and told of.
    pub silence: Option<Silence>,
}

impl MeshState {
    /// What is heard of `service` at `now_ms`; `is_alive`: whether a proxy answers by another way.
    #[must_use]
    pub fn hearing(&self, service: &Service, now_ms: i64, is_alive: &dyn Fn(&str) -> bool) -> Hearing {
        let mut hearing = Hearing::default();
        let mut reporting = 0;
        for proxy in service.reporters.keys() {
            let newest = self.proxies.get(proxy).map_or(i64::MIN, |p| p.last_window_ms);
            if newest.saturating_add(MUTE_MS) >= now_ms {
                reporting += 1;
            } else if is_alive(proxy) {
                hearing.mute.push(proxy.clone());
            } else {
                hearing.lost.push(proxy.clone());
            }
        }
        let asked = service.ring.sum(self.second - LATELY_S + 1, self.second).n > 0;
        hearing.silence = match (reporting, hearing.mute.len()) {
            (0, 0) => Some(Silence::LostProxies),
            (0, _) => Some(Silence::NoTelemetry),
            _ => (!asked).then_some(Silence::NoTraffic),
        };
        hearing
    }
}
