//! Active checks: one task an endpoint, on the control runtime, following the table.

use std::collections::HashMap;
use std::io::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use protocol::id::{EndpointId, ServiceName};
use protocol::snapshot::Health;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::endpoint_state::EndpointState;
use crate::clock;
use crate::settings::{Endpoint, HealthCheck};
use crate::table::SharedTable;

/// How soon a swapped table is noticed.
const FOLLOW: Duration = Duration::from_millis(250);

type Key = (ServiceName, EndpointId);

/// Checks every endpoint whose service wants it, until `shutdown`. An endpoint that is checked no
/// more is unknown again.
pub async fn run(table: SharedTable, shutdown: CancellationToken) {
    let mut checks = Checks::default();
    let mut generation = None;
    while !shutdown.is_cancelled() {
        let current = table.load_full();
        if generation != Some(current.generation) {
            generation = Some(current.generation);
            checks.follow(&wanted(&current));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(FOLLOW) => {}
        }
    }
}

/// One endpoint and how to check it.
#[derive(Debug, Clone)]
struct Check {
    settings: HealthCheck,
    endpoint: Arc<Endpoint>,
    state: Arc<EndpointState>,
}

fn wanted(table: &crate::table::Table) -> HashMap<Key, Check> {
    let mut wanted = HashMap::new();
    for (name, service) in &table.services {
        let Some(settings) = &service.live.settings.health_check else { continue };
        for handle in &service.endpoints {
            let endpoint = Arc::clone(&handle.live.settings);
            let key = (name.clone(), endpoint.id.clone());
            let state = Arc::clone(&handle.state);
            wanted.insert(key, Check { settings: settings.clone(), endpoint, state });
        }
    }
    wanted
}

#[derive(Debug, Default)]
struct Checks(HashMap<Key, (Check, JoinHandle<()>)>);

impl Checks {
    fn follow(&mut self, wanted: &HashMap<Key, Check>) {
        self.0.retain(|key, (check, task)| {
            let stays = wanted
                .get(key)
                .is_some_and(|w| w.settings == check.settings && Arc::ptr_eq(&w.state, &check.state));
            if !stays {
                task.abort();
            }
            let other = wanted.get(key).is_some_and(|w| Arc::ptr_eq(&w.state, &check.state));
            // Checked otherwise from now on, it keeps what is known of it.
            if !stays && !other {
                check.state.set_health(Health::Unknown, clock::now_ms());
            }
            stays
        });
        for (key, check) in wanted {
            let start = || (check.clone(), tokio::spawn(keep_checking(check.clone())));
            self.0.entry(key.clone()).or_insert_with(start);
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.values().for_each(|(_, task)| task.abort());
    }
}

async fn keep_checking(check: Check) {
    let mut tally = Tally::default();
    let mut ticks = interval(check.settings.interval.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let passed = matches!(timeout(check.settings.timeout, probe(&check)).await, Ok(Ok(true)));
        if let Some(health) = tally.add(passed, check.state.health(), &check.settings) {
            info!(endpoint = %check.endpoint.id, ?health, "an active check changed its mind");
            check.state.set_health(health, clock::now_ms());
        }
    }
}

/// Whether the endpoint answers 2xx; over a new connection each, as a client would come.
async fn probe(check: &Check) -> std::io::Result<bool> {
    let host = check.endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, check.endpoint.port)).await?;
    let handshake = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(Error::other)?;
    // Ends with the sender, at the latest when the check's time is over.
    tokio::spawn(connection);
    let request = Request::get(check.settings.path.as_str())
        .header(HOST, check.endpoint.id.as_str())
        .header(USER_AGENT, HeaderValue::from_static("sidecar-proxy health check"))
        .body(Empty::new())
        .map_err(Error::other)?;
    Ok(sender.send_request(request).await.map_err(Error::other)?.status().is_success())
}

/// Consecutive answers of one kind.
#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// The new health, if this answer changes it. The first answer of an endpoint not yet known
    /// counts at once when it passed.
    fn add(&mut self, passed: bool, now: Health, settings: &HealthCheck) -> Option<Health> {
        *self = match passed {
            true => Self { passed: self.passed.saturating_add(1), failed: 0 },
            false => Self { passed: 0, failed: self.failed.saturating_add(1) },
        };
        match now {
            Health::Unknown if passed => Some(Health::Healthy),
            Health::Unhealthy if self.passed >= settings.healthy_threshold => Some(Health::Healthy),
            Health::Unknown | Health::Healthy if self.failed >= settings.unhealthy_threshold => {
                Some(Health::Unhealthy)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> HealthCheck {
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        HealthCheck { path: "/".into(), interval, timeout, unhealthy_threshold: 3, healthy_threshold: 2 }
    }

    #[test]
    fn only_consecutive_answers_change_health() {
        let (mut tally, mut health, mut seen) = (Tally::default(), Health::Unknown, String::new());
        for answer in "pffpfffpfppf".chars() {
            if let Some(changed) = tally.add(answer == 'p', health, &settings()) {
                health = changed;
            }
            seen.push(match health {
                Health::Unknown => '?',
                Health::Healthy => 'h',
                Health::Unhealthy => 'u',
            });
        }
        assert_eq!(seen, "hhhhhhuuuuhh");
    }
}
