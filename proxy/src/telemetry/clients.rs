//! Who asks most, and how many others there are, in fixed space.

use std::cmp::Reverse;
use std::net::IpAddr;

use ahash::{AHashMap, RandomState};
use protocol::telemetry::{Client, ClientsOther, MAX_CLIENTS};

use super::distinct::{Distinct, SmallDistinct, hash_of};
use super::space_saving::{Slot, SpaceSaving};

/// Clients kept per worker and window, of which the busiest are reported.
const KEPT_CLIENTS: usize = 512;

/// How a client's request ended, as far as the client is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientOutcome {
    /// Below 400.
    Fine,
    /// 4xx.
    Refused4xx,
    /// 5xx, or no response.
    Failed,
    /// Refused by this proxy: blocked, limited or shed.
    Denied,
}

/// What is kept of one client.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientDetail {
    // Of one window: as small as they may be, since all that is kept is to stay in the nearest cache.
    status_4xx: u32,
    status_5xx: u32,
    denied: u32,
    paths: SmallDistinct,
}

/// One worker's clients of the current window.
#[derive(Debug)]
pub struct Clients {
    busiest: SpaceSaving<IpAddr, ClientDetail>,
    requests: u64,
    distinct: Distinct,
}

impl Default for Clients {
    fn default() -> Self {
        Self { busiest: SpaceSaving::new(KEPT_CLIENTS), requests: 0, distinct: Distinct::default() }
    }
}

impl Clients {
    /// A request of `ip` ended; `path` is the path's hash.
    pub fn record(&mut self, ip: IpAddr, path: u64, outcome: ClientOutcome) {
        self.requests += 1;
        // As one number: an address that tells its kind and its length first is hashed in three steps.
        let hash = hash_of(&bits_of(ip));
        self.distinct.add(hash);
        let detail = self.busiest.offer(ip, hash);
        detail.paths.add(path);
        match outcome {
            ClientOutcome::Fine => {}
            ClientOutcome::Refused4xx => detail.status_4xx = detail.status_4xx.saturating_add(1),
            ClientOutcome::Failed => detail.status_5xx = detail.status_5xx.saturating_add(1),
            ClientOutcome::Denied => detail.denied = detail.denied.saturating_add(1),
        }
    }

    /// Takes the window's clients and begins anew.
    pub fn take(&mut self) -> ClientsPart {
        let requests = std::mem::take(&mut self.requests);
        ClientsPart { busiest: self.busiest.take(), requests, distinct: std::mem::take(&mut self.distinct) }
    }
}

fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// One worker's clients of one window.
#[derive(Debug, Default)]
pub struct ClientsPart {
    busiest: Vec<Slot<IpAddr, ClientDetail>>,
    requests: u64,
    distinct: Distinct,
}

/// All workers' clients of one window.
#[derive(Debug, Default)]
pub struct MergedClients {
    seen: AHashMap<IpAddr, (u64, ClientDetail)>,
    requests: u64,
    distinct: Distinct,
}

impl MergedClients {
    /// Adds one worker's part.
    pub fn add(&mut self, part: ClientsPart) {
        self.requests += part.requests;
        self.distinct.merge(&part.distinct);
        for slot in part.busiest {
            let (requests, detail) = self.seen.entry(slot.key).or_default();
            *requests += slot.seen();
            detail.status_4xx = detail.status_4xx.saturating_add(slot.detail.status_4xx);
            detail.status_5xx = detail.status_5xx.saturating_add(slot.detail.status_5xx);
            detail.denied = detail.denied.saturating_add(slot.detail.denied);
            detail.paths.merge(&slot.detail.paths);
        }
    }

    /// The busiest by address (what was surely theirs), and the rest together. Of clients that ask alike each window
    /// names others: so many small ones come to be known too.
    #[must_use]
    pub fn report(self) -> (Vec<Client>, Option<ClientsOther>) {
        let mut clients: Vec<Client> = self.seen.into_iter().map(client).collect();
        let lots = RandomState::new();
        clients.sort_by_cached_key(|client| (Reverse(client.requests), lots.hash_one(client.ip)));
        clients.truncate(MAX_CLIENTS);
        let listed: u64 = clients.iter().map(|client| client.requests).sum();
        let requests = self.requests.saturating_sub(listed);
        let distinct =
            self.distinct.estimate().saturating_sub(clients.len() as u64).clamp(1, requests.max(1));
        (clients, (requests > 0).then_some(ClientsOther { requests, distinct }))
    }
}

fn client((ip, (requests, detail)): (IpAddr, (u64, ClientDetail))) -> Client {
    Client {
        ip,
        requests,
        status_4xx: detail.status_4xx.into(),
        status_5xx: detail.status_5xx.into(),
        denied: detail.denied.into(),
        distinct_paths: detail.paths.estimate().min(requests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_clients_that_ask_alike_each_window_names_others() {
        let mut named = std::collections::BTreeSet::new();
        for _window in 0..30 {
            let mut clients = Clients::default();
            (0..200u8).for_each(|n| clients.record(IpAddr::from([10, 0, 0, n]), 1, ClientOutcome::Fine));
            let mut merged = MergedClients::default();
            merged.add(clients.take());
            named.extend(merged.report().0.into_iter().map(|client| client.ip));
        }
        assert!(named.len() > 150, "{}", named.len());
    }

    #[test]
    fn two_workers_clients_become_one_list_and_a_rest() {
        let mut merged = MergedClients::default();
        for _worker in 0..2 {
            let mut clients = Clients::default();
            for n in 0..100u8 {
                clients.record(IpAddr::from([10, 0, 0, n]), 1, ClientOutcome::Fine);
            }
            for path in 0..20u64 {
                clients.record(IpAddr::from([192, 0, 2, 1]), hash_of(&path), ClientOutcome::Denied);
                clients.record(IpAddr::from([192, 0, 2, 2]), 9, ClientOutcome::Failed);
            }
            merged.add(clients.take());
        }
        let (listed, other) = merged.report();
        assert_eq!(listed.len(), MAX_CLIENTS);
        // Which of the two comes first is drawn by lot.
        let of = |last: u8| {
            let found = listed[..2].iter().find(|client| client.ip == IpAddr::from([192, 0, 2, last]));
            found.map(|client| (client.requests, client.denied, client.status_5xx, client.distinct_paths))
        };
        assert!(matches!(of(1), Some((40, 40, 0, 18..=22))), "{listed:?}");
        assert_eq!(of(2), Some((40, 0, 40, 1)));
        let rest = other.map(|other| other.requests);
        assert_eq!(rest, Some(2 * 140 - listed.iter().map(|c| c.requests).sum::<u64>()));
        let distinct = other.map_or(0, |other| other.distinct);
        assert!((60..=80).contains(&distinct), "{distinct}");
    }
}
