//! What the proxies of the mesh tell of themselves.

use std::collections::BTreeMap;

use protocol::id::{EndpointId, Epoch, ProxyId, ServiceName};
use protocol::snapshot::{BreakerState, EndpointStatus, Health, ProxyStatus, ServiceStatus};

use super::{Mesh, Spec};

impl Mesh {
    /// What the proxies tell of themselves.
    pub(crate) fn fleet(&self) -> BTreeMap<String, ProxyStatus> {
        let status = |proxy: String| {
            let own = |s: &Spec| (0..s.proxies).any(|n| s.proxy(n) == proxy);
            let services = self.specs.iter().enumerate().filter(|(_, s)| own(s));
            let services = services.map(|(index, _)| self.service_status(index, &proxy)).collect();
            let leases = self.leases.iter().filter(|((p, _), _)| *p == proxy).map(|(_, l)| l.row.clone());
            let status = ProxyStatus {
                proxy: ProxyId::new(proxy.clone()).unwrap(),
                boot: format!("b{}", self.boot),
                version: "0".into(),
                protocol: 1,
                uptime_s: 1,
                config_hash: String::new(),
                live_state_hash: String::new(),
                epoch: Epoch(1),
                frozen: false,
                draining: false,
                services,
                leases: leases.collect(),
                promotions: BTreeMap::new(),
            };
            (proxy, status)
        };
        self.proxies().into_iter().map(status).collect()
    }

    fn service_status(&self, index: usize, proxy: &str) -> ServiceStatus {
        let spec = &self.specs[index];
        let leased = self.leased(index, proxy);
        let endpoints = (0..spec.endpoints).map(|e| EndpointStatus {
            endpoint: EndpointId::new(Self::endpoint(index, e)).unwrap(),
            version: spec.version(e).into(),
            health: self.health.get(&(spec.name.to_owned(), e)).copied().unwrap_or(Health::Unknown),
            weight_configured: 1,
            weight: leased[e].0 as u32,
            ejected: leased[e].1,
            breaker: BreakerState::Closed,
            outlier: None,
            in_flight: 0,
        });
        ServiceStatus {
            service: ServiceName::new(spec.name).unwrap(),
            algorithm: "round_robin".into(),
            endpoints: endpoints.collect(),
        }
    }
}
