//! The last hour of the mesh, in memory: what charts show, and what a look back at an instant needs.
//!
//! Every [`STEP_MS`] the picture of the control loop is taken apart into tracks, one for the whole mesh, one
//! for each service, endpoint and caller. Bounded by [`MAX_TRACKS`] tracks of [`POINTS`] points of 24 bytes
//! (some 65 MB when full): a service too many has no past, and nothing else suffers. Absent: what is older,
//! which the recording holds, and what was decided, which the audit log holds.

mod track;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::{CallView, EndpointView, ServiceView, View};
pub use track::{Point, Track};

/// From one point to the next.
pub const STEP_MS: i64 = 2_000;
/// Points of one track: an hour of them.
pub const POINTS: usize = 1_800;
/// Tracks that are kept.
pub const MAX_TRACKS: usize = 1_536;
/// A point may stand for an instant so many steps later.
const STANDS_FOR: i64 = 2;

/// Whose past it is. The order keeps a service before its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All endpoints together.
    Whole,
    /// One caller's share.
    Caller(String),
    /// One endpoint.
    Endpoint(String),
}

/// A service (empty: the whole mesh) and a part of it.
pub type Key = (String, Part);

/// The last hour; clones share it.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<RwLock<BTreeMap<Key, Track>>>);

impl History {
    /// Keeps this picture as the point of its step; a second one within a step replaces the first.
    pub fn keep(&self, view: &View) {
        let step = view.at_ms.div_euclid(STEP_MS);
        let mut tracks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut put = |service: &str, part: Part, version: &str, point: Point| {
            let key = (service.to_owned(), part);
            if tracks.contains_key(&key) || tracks.len() < MAX_TRACKS {
                tracks.entry(key).or_default().put(version, point);
            }
        };
        put("", Part::Whole, "", Point::of_mesh(step, &view.services));
        for service in &view.services {
            put(&service.service, Part::Whole, "", Point::of_service(step, service));
            for call in &service.calls {
                put(&service.service, Part::Caller(call.caller.clone()), "", Point::of_call(step, call));
            }
            for endpoint in &service.endpoints {
                let part = Part::Endpoint(endpoint.endpoint.clone());
                put(&service.service, part, &endpoint.version, Point::of_endpoint(step, endpoint));
            }
        }
        tracks.retain(|_, track| track.forget_before(step - POINTS as i64));
    }

    /// The services as they were at `at_ms`; empty where nothing was kept.
    #[must_use]
    pub fn services_at(&self, at_ms: i64) -> Vec<ServiceView> {
        let step = at_ms.div_euclid(STEP_MS);
        let tracks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut services: Vec<ServiceView> = Vec::new();
        for ((name, part), track) in tracks.iter().filter(|((name, _), _)| !name.is_empty()) {
            let Some(point) = track.at(step, STANDS_FOR) else { continue };
            if *part == Part::Whole {
                services.push(point.service(name));
            }
            let Some(service) = services.last_mut().filter(|s| s.service == *name) else { continue };
            match part {
                Part::Whole => {}
                Part::Caller(caller) => {
                    service.callers.push(caller.clone());
                    service.calls.push(point.call(caller));
                }
                Part::Endpoint(endpoint) => service.endpoints.push(point.endpoint(endpoint, &track.version)),
            }
        }
        services
    }

    /// The tracks of one service (empty: the mesh) whose part `wanted` takes, from `since_ms` on.
    #[must_use]
    pub fn tracks(&self, service: &str, since_ms: i64, wanted: impl Fn(&Part) -> bool) -> Vec<(Part, Track)> {
        let from = since_ms.div_euclid(STEP_MS);
        let tracks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = (service.to_owned(), Part::Whole);
        let own = tracks.range(first..).take_while(|((name, _), _)| name == service);
        own.filter(|((_, part), _)| wanted(part))
            .map(|((_, part), t)| (part.clone(), t.since(from)))
            .collect()
    }
}

/// What a caller asked, from a point.
impl Point {
    fn call(&self, caller: &str) -> CallView {
        let (rps, failure_share) = (f64::from(self.rps), f64::from(self.failure_share));
        CallView { caller: caller.to_owned(), rps, failure_share }
    }

    fn endpoint(&self, endpoint: &str, version: &str) -> EndpointView {
        EndpointView {
            endpoint: endpoint.to_owned(),
            version: version.to_owned(),
            rps: f64::from(self.rps),
            failure_share: f64::from(self.failure_share),
            p50_ms: f64::from(self.p50_ms),
            p99_ms: f64::from(self.p99_ms),
            weight: self.weight(),
            weight_configured: None,
            ejected: self.ejected,
            health: None,
            breaker: None,
        }
    }

    fn service(&self, name: &str) -> ServiceView {
        ServiceView {
            service: name.to_owned(),
            rps: f64::from(self.rps),
            failure_share: f64::from(self.failure_share),
            p50_ms: f64::from(self.p50_ms),
            p99_ms: f64::from(self.p99_ms),
            callers: Vec::new(),
            calls: Vec::new(),
            expected: None,
            learned_s: 0,
            silence: None,
            mute_proxies: Vec::new(),
            lost_proxies: Vec::new(),
            usual_rps: None,
            endpoints: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
