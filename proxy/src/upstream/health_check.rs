//! Active checks: one task an endpoint, on the control runtime, following the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{EndpointId, ServiceName};
use protocol::snapshot::Health;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::connector::Connector;
use super::endpoint_state::EndpointState;
use super::probe::probe;
use crate::clock;
use crate::settings::HealthCheck;
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
    connector: Connector,
    state: Arc<EndpointState>,
}

impl Check {
    fn is(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.connector.transport == other.connector.transport
            && Arc::ptr_eq(&self.state, &other.state)
    }
}

fn wanted(table: &crate::table::Table) -> HashMap<Key, Check> {
    let mut wanted = HashMap::new();
    for (name, service) in &table.services {
        let Some(settings) = &service.live.settings.health_check else { continue };
        for handle in &service.endpoints {
            let endpoint = Arc::clone(&handle.live.settings);
            let key = (name.clone(), endpoint.id.clone());
            let state = Arc::clone(&handle.state);
            let connector = Connector { endpoint, transport: Arc::clone(&service.live.settings.transport) };
            wanted.insert(key, Check { settings: settings.clone(), connector, state });
        }
    }
    wanted
}

#[derive(Debug, Default)]
struct Checks(HashMap<Key, (Check, JoinHandle<()>)>);

impl Checks {
    fn follow(&mut self, wanted: &HashMap<Key, Check>) {
        self.0.retain(|key, (check, task)| {
            let stays = wanted.get(key).is_some_and(|w| w.is(check));
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
        let asked = probe(&check.connector, &check.settings.path);
        let passed = matches!(timeout(check.settings.timeout, asked).await, Ok(Ok(true)));
        if let Some(health) = tally.add(passed, check.state.health(), &check.settings) {
            info!(endpoint = %check.connector.endpoint.id, ?health, "an active check changed its mind");
            check.state.set_health(health, clock::now_ms());
        }
    }
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
