//! Two workers over a hand-made table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::id::{EndpointId, ServiceName};
use proxy::listener;
use proxy::live_state::tuning::Tuning;
use proxy::live_state::{HeldBreaker, LiveEndpoint, LiveService, LiveState, Shed, Trial};
use proxy::settings::{
    Admin, Algorithm, Balancing, Breaker, Edge, Endpoint, Floor, HashTable, Http2, KeySource, Route, Server,
    Service, Settings, SplitTarget,
};
use proxy::table::{SharedTable, Table};
use proxy::telemetry::recorder::{Tap, WorkerWindow};
use proxy::telemetry::shard::{Shard, ShardSnapshot};
use proxy::telemetry::stream::MAX_PARTS;
use proxy::upstream::endpoint_state::Registry;
use proxy::upstream::sessions::Secret;
use proxy::worker::{self, Lifecycle, WorkerArgs, WorkerHandle};
use tokio::sync::mpsc;

pub const WORKERS: usize = 2;

/// A running data path.
pub struct Mesh {
    pub address: SocketAddr,
    pub table: SharedTable,
    pub lifecycle: Lifecycle,
    pub shards: Vec<Arc<Shard>>,
    pub workers: Vec<WorkerHandle>,
    pub parts: mpsc::Receiver<WorkerWindow>,
    registry: Registry,
    live: LiveState,
}

/// One service `cart` over these endpoints, one route `all`.
pub fn live(endpoints: &[SocketAddr]) -> LiveState {
    let name = ServiceName::new("cart").unwrap();
    let endpoints: Vec<Arc<Endpoint>> = endpoints.iter().map(endpoint).collect();
    let service = Arc::new(Service {
        transport: Arc::default(),
        name: name.clone(),
        endpoints: endpoints.clone(),
        balancing: balancing(),
        outliers: None,
        retry: None,
        limits: None,
        connect_timeout: None,
        request_timeout: None,
        idle_timeout: None,
        breaker: Some(Breaker {
            failure_threshold: 1_000,
            recovery_timeout: Duration::from_millis(200),
            half_open_max_calls: 1,
            success_threshold: 1,
            rate: None,
        }),
        health_check: None,
    });
    let live_endpoint = |settings: Arc<Endpoint>| LiveEndpoint {
        weight: settings.weight,
        settings,
        ejected: false,
        breaker: HeldBreaker::Free,
    };
    let endpoints = endpoints.into_iter().map(live_endpoint).collect();
    let live = LiveService {
        rates: Vec::new(),
        settings: Arc::clone(&service),
        tuning: Tuning::of(&service, &[]),
        endpoints,
        shed: Shed::default(),
        trial: Trial::default(),
    };
    LiveState {
        settings: Arc::new(settings(&name, service)),
        services: BTreeMap::from([(name, Arc::new(live))]),
        blocks: Vec::new(),
        hash: "live".into(),
    }
}

fn balancing() -> Balancing {
    Balancing {
        algorithm: Algorithm::WeightedRoundRobin,
        choices: 2,
        hash: HashTable::Maglev,
        hash_key: KeySource::ClientIp,
        load_factor: None,
        affinity: None,
        zone: String::new(),
        slow_start: None,
        panic_percent: 50,
    }
}

fn endpoint(address: &SocketAddr) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        id: EndpointId::new(address.to_string()).unwrap(),
        host: address.ip().to_string(),
        port: address.port(),
        weight: 100,
        version: "v1".into(),
        zone: String::new(),
        metadata: BTreeMap::new(),
    })
}

fn settings(name: &ServiceName, service: Arc<Service>) -> Settings {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let route =
        Route { name: "all".into(), split: vec![SplitTarget::whole(name.clone())], ..Route::default() };
    Settings {
        rate_limit: None,
        security: Default::default(),
        server: Server {
            tunnel_idle_timeout: Duration::from_secs(300),
            connect: Vec::new(),
            watch_files: false,
            tls: None,
            bind: local,
            workers: WORKERS,
            max_connections: 1_000,
            connect_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_millis(700),
            idle_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_millis(400),
            max_header_bytes: 16 * 1024,
            edge: Edge::default(),
            http2: Http2::default(),
            overload: Default::default(),
            drain: Duration::from_millis(100),
            drain_timeout: Duration::from_secs(5),
            trusted_proxies: Vec::new(),
            max_idle_per_endpoint: 16,
        },
        admin: Admin {
            bind: local,
            token_path: "t".into(),
            viewer_token_path: None,
            open_reads: true,
            tls: None,
            operators: Vec::new(),
            viewers: Vec::new(),
            state_path: "s".into(),
            hand_over_path: "h".into(),
            allowed_hosts: Vec::new(),
        },
        services: BTreeMap::from([(name.clone(), service)]),
        routes: vec![Arc::new(route)],
        floor: Floor { min_capacity: 0.5 },
        ai: None,
        observability: Default::default(),
        hash: "config".into(),
    }
}

/// Changes settings before or while they are in force.
pub fn with_settings(live: &mut LiveState, change: impl FnOnce(&mut Settings)) {
    change(Arc::make_mut(&mut live.settings));
}

/// Changes the one service's decisions.
pub fn with_service(live: &mut LiveState, change: impl FnOnce(&mut LiveService)) {
    change(Arc::make_mut(live.services.values_mut().next().unwrap()));
}

impl Mesh {
    pub fn start(live: LiveState) -> Self {
        let registry = Registry::new(Secret::new([7; 32]));
        let table: SharedTable =
            Arc::new(ArcSwap::from_pointee(Table::new(Arc::new(live.clone()), &registry, 1)));
        let listeners = listener::bind(live.settings.server.bind, WORKERS).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (lifecycle, connections) = (Lifecycle::default(), Arc::new(AtomicUsize::new(0)));
        let (sender, parts) = mpsc::channel(MAX_PARTS);
        let shards: Vec<Arc<Shard>> = (0..WORKERS).map(|_| Arc::default()).collect();
        let start = |(index, listeners)| {
            worker::spawn(WorkerArgs {
                index,
                listeners,
                table: Arc::clone(&table),
                shard: Arc::clone(&shards[index]),
                connections: Arc::clone(&connections),
                lifecycle: lifecycle.clone(),
                windows: Some(Tap { sender: sender.clone(), window: Duration::from_millis(250) }),
                overload: Default::default(),
                sinks: Default::default(),
            })
            .unwrap()
        };
        let workers = listeners.into_iter().map(|listener| vec![listener]).enumerate().map(start).collect();
        Self { address, table, lifecycle, shards, workers, parts, registry, live }
    }

    /// Swaps other decisions in, as control does.
    pub fn change(&mut self, change: impl FnOnce(&mut LiveState)) {
        change(&mut self.live);
        let generation = self.table.load().generation + 1;
        let table = Table::new(Arc::new(self.live.clone()), &self.registry, generation);
        self.table.store(Arc::new(table));
    }

    pub fn counted(&self) -> ShardSnapshot {
        let mut sum = ShardSnapshot::default();
        self.shards.iter().for_each(|shard| sum.merge(&shard.snapshot()));
        sum
    }

    pub fn in_flight(&self) -> u32 {
        let table = self.table.load();
        let endpoints = table.services.values().flat_map(|service| &service.endpoints);
        endpoints.map(|endpoint| endpoint.state.in_flight.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.lifecycle.abort.cancel();
        for worker in self.workers.drain(..) {
            let ended = worker.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a worker panicked");
        }
    }
}
