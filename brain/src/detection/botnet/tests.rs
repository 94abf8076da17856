//! People, crowds and botnets at one edge, as a proxy tells of them: the 32 busiest by address, the rest together.

use std::net::Ipv4Addr;

use protocol::latency::Latency;
use protocol::telemetry::{CALLER_INTERNET, Cell, Client, ClientsOther, MAX_CLIENTS, Window};

use super::*;
use crate::policies::Policies;
use crate::state::{MeshState, sample};

/// So many clients who ask alike, from `first` on.
#[derive(Clone, Copy)]
struct Group {
    first: u32,
    clients: u32,
    rps: f64,
    refused: f64,
    route: &'static str,
}

const PEOPLE: Group = Group { first: 0x0a00_0000, clients: 400, rps: 0.5, refused: 0.02, route: "/" };
const BOTS: Group = Group { first: 0xcb00_7100, clients: 300, rps: 3.0, refused: 0.9, route: "/" };
const CROWD: Group = Group { first: 0x6400_0000, ..PEOPLE };

struct World {
    mesh: MeshState,
    policy: DetectionPolicy,
    dice: fastrand::Rng,
    second: i64,
}

impl World {
    /// People, until they are known (`min_learned_s`).
    fn quiet(seed: u64) -> Self {
        let policy = Policies::shipped().unwrap().detection;
        let dice = fastrand::Rng::with_seed(seed);
        let mut world = Self { mesh: MeshState::default(), policy, dice, second: 1_700_000_000 };
        (0..330).for_each(|_| assert_eq!(world.next(&[PEOPLE]), None));
        assert_eq!(world.mesh.quarantine.total(), 0);
        world
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut product, mut n) = ((-mean).exp(), self.dice.f64(), 0);
        while product > limit {
            product *= self.dice.f64();
            n += 1;
        }
        n
    }

    fn window(&mut self, groups: &[Group]) -> Window {
        let mut clients = Vec::new();
        let mut cells = Vec::new();
        for group in groups {
            let from = clients.len();
            for n in 0..group.clients {
                let requests = self.poisson(group.rps);
                let status_4xx = (0..requests).filter(|_| self.dice.f64() < group.refused).count() as u64;
                let ip = Ipv4Addr::from(group.first + n * 7).into();
                let distinct_paths = requests.min(3);
                clients.push(Client { ip, requests, status_4xx, status_5xx: 0, denied: 0, distinct_paths });
            }
            let requests = clients[from..].iter().map(|c: &Client| c.requests).sum();
            let (route, caller) = (group.route.to_owned(), CALLER_INTERNET.to_owned());
            let (service, endpoint) = ("web".to_owned(), "10.0.0.1:80".to_owned());
            let status = [("2xx".to_owned(), requests)].into();
            let latency = Latency { buckets: vec![(500, requests)], ..Latency::default() };
            cells.push(Cell {
                service,
                endpoint,
                route,
                caller,
                requests,
                status,
                latency,
                ..Cell::default()
            });
        }
        clients.retain(|c| c.requests > 0);
        self.dice.shuffle(&mut clients);
        clients.sort_by_key(|c| std::cmp::Reverse(c.requests));
        let others = clients.split_off(MAX_CLIENTS.min(clients.len()));
        let requests = others.iter().map(|c| c.requests).sum();
        Window {
            seq: self.second as u64,
            start_ms: self.second * 1_000,
            cells,
            clients,
            clients_other: Some(ClientsOther { requests, distinct: others.len() as u64 }),
            ..sample::window()
        }
    }

    /// One more second; looked at every third, for clustering is slow where nothing is optimised.
    fn next(&mut self, groups: &[Group]) -> Option<Abuse> {
        let window = self.window(groups);
        self.second += 1;
        let now_ms = self.second * 1_000;
        self.mesh.observe(&window, now_ms, &self.policy);
        let mut look = || super::super::clients::detect(&mut self.mesh, &self.policy, &|_| false);
        let abuse = if self.second % 3 == 0 { look() } else { Vec::new() };
        self.mesh.settle(now_ms, &self.policy);
        abuse.into_iter().next()
    }

    /// What is said within a minute and a half, and after how many seconds.
    fn told(&mut self, groups: &[Group]) -> Option<(usize, Abuse)> {
        (0..90).find_map(|second| Some((second, self.next(groups)?)))
    }

    /// How long it takes until the bots are named, and what of those named are bots.
    fn named(&mut self, bots: Group) -> (usize, f64, f64) {
        let (second, abuse) = self.told(&[PEOPLE, bots]).expect("it is told");
        assert!(abuse.together, "{abuse:?}");
        let is_bot = |ip: &&IpAddr| matches!(ip, IpAddr::V4(v4) if u32::from(*v4) >= bots.first);
        let right = abuse.ips.iter().filter(is_bot).count() as f64;
        (second, right / abuse.ips.len() as f64, right / f64::from(bots.clients))
    }
}

#[test]
fn hundreds_of_small_clients_that_are_refused_are_found_together() {
    for (seed, clients) in [(1, 150), (2, 300), (3, 500)] {
        let bots = Group { clients, ..BOTS };
        let (second, precision, recall) = World::quiet(seed).named(bots);
        assert!(second <= 60 && precision > 0.97 && recall > 0.7, "{clients}: {second} {precision} {recall}");
    }
}

#[test]
fn bots_that_are_answered_are_found_by_how_often_each_of_them_asks() {
    let (second, precision, recall) = World::quiet(4).named(Group { refused: 0.0, rps: 4.0, ..BOTS });
    assert!(second <= 60 && precision > 0.9 && recall > 0.7, "{second} {precision} {recall}");
}

#[test]
fn slower_bots_are_found_by_asking_for_what_people_do_not() {
    let slow = Group { refused: 0.02, rps: 2.0, ..BOTS };
    assert_eq!(World::quiet(5).told(&[PEOPLE, slow]), None, "they could be people");
    let (_, precision, _) = World::quiet(5).named(Group { route: "/search", rps: 2.4, ..slow });
    assert!(precision > 0.85, "{precision}");
}

#[test]
fn a_crowd_is_no_botnet_however_large_and_whatever_it_wants() {
    let crowds = [
        Group { clients: 300, ..CROWD },
        Group { clients: 1_000, ..CROWD },
        Group { clients: 3_000, ..CROWD },
        Group { clients: 800, route: "/sale", ..CROWD },
        // A link that leads nowhere.
        Group { clients: 800, refused: 0.9, ..CROWD },
        // In a hurry.
        Group { clients: 600, rps: 0.75, ..CROWD },
    ];
    for (seed, crowd) in (10..).zip(crowds) {
        assert_eq!(World::quiet(seed).told(&[PEOPLE, crowd]), None, "{seed}");
    }
}

#[test]
fn a_crowd_that_hides_a_botnet_is_not_blocked_with_it() {
    let crowd = Group { clients: 2_000, ..CROWD };
    assert_eq!(World::quiet(20).told(&[PEOPLE, crowd, Group { clients: 150, ..BOTS }]), None);
}

#[test]
fn who_is_known_from_quiet_times_is_never_one_of_a_botnet() {
    let mut world = World::quiet(30);
    // The same people, ten times as often: their own clients went mad.
    let mad = Group { rps: 3.0, refused: 0.9, clients: 100, ..PEOPLE };
    let others = Group { first: PEOPLE.first + 700, clients: 300, ..PEOPLE };
    assert_eq!(world.told(&[mad, others]), None);
}

#[test]
fn clients_that_are_all_the_same_do_not_trouble_the_clustering() {
    let strangers = (0..1_024u32).map(|n| {
        let stranger = Stranger { first: 1, last: 2, listed: 2, requests: 4, refused: 4, paths: 2 };
        (Ipv4Addr::from(n).into(), stranger)
    });
    let clusters = alike(&strangers.collect(), 2);
    assert_eq!(clusters.iter().map(|c| c.members.len()).collect::<Vec<_>>(), [1_024]);
    assert!(alike(&BTreeMap::new(), 2).is_empty());
}
