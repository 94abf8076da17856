//! One route as one worker reads it: where its requests go, and where copies of them go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use protocol::id::ServiceName;

use super::call_terms::CallTerms;
use super::cohort::Cohorts;
use super::faults::Faults;
use super::preview::Asking;
use super::shadow::Shadow;
use super::shares;
use super::traffic_split::TrafficSplit;
use super::view::ServiceView;
use crate::security::authentication::Known;
use crate::security::rate_limit::{Rates, Rule};
use crate::settings::{RateKey, Route, SplitTarget};
use crate::table::Table;
use crate::telemetry::shard::{RouteCounters, Shard};
use crate::upstream::endpoint_view::EndpointView;
use crate::upstream::group::Group;

/// One route.
#[derive(Debug)]
pub struct RouteView {
    /// As configured.
    pub settings: Arc<Route>,
    /// Its name in telemetry.
    pub name: Arc<str>,
    /// What is done to its requests on purpose.
    pub faults: Option<Faults>,
    /// By whom who asks must be known; absent: nobody is asked.
    pub authentication: Option<Vec<Arc<Known>>>,
    /// Where it may lead.
    pub services: Vec<ServiceName>,
    /// How often it may be asked, as far as the service does not matter.
    pub rates: RouteRates,
    /// Where its requests are copied to.
    pub shadow: Option<Rc<Shadow>>,
    /// Versions that are there for those who ask for them.
    previews: Vec<(Asking, Target)>,
    split: TrafficSplit,
    cohorts: Option<Cohorts>,
    targets: Vec<Target>,
}

/// How often a route may be asked.
#[derive(Debug)]
pub struct RouteRates {
    /// By anyone, before it is found out who asks.
    pub arriving: Vec<Arc<Rule>>,
    /// By those who are known.
    pub known: Vec<Arc<Rule>>,
}

impl RouteRates {
    fn new(rules: Vec<Arc<Rule>>) -> Self {
        let (known, arriving) = rules.into_iter().partition(|rule| rule.terms.key == RateKey::User);
        Self { arriving, known }
    }
}

/// One share of a route's split.
#[derive(Debug)]
pub struct Target {
    /// The service.
    pub service: Rc<ServiceView>,
    /// Who may serve it.
    pub group: Group,
    /// What holds for its requests.
    pub terms: CallTerms,
    /// How often it may be asked by this route.
    pub rates: Vec<Arc<Rule>>,
    /// What is counted of requests by this route to this service.
    pub counters: Arc<RouteCounters>,
    /// Where a lease has requests to this service copied to.
    pub shadow: Option<Rc<Shadow>>,
    /// Whether requests come here by asking for a version on trial.
    pub is_preview: bool,
}

impl RouteView {
    /// Reads `route` for the worker `worker`.
    pub(super) fn build(
        route: &Arc<Route>,
        services: &BTreeMap<ServiceName, Rc<ServiceView>>,
        table: &Table,
        shard: &Shard,
        worker: usize,
    ) -> Self {
        Builder { route, name: Arc::from(route.name.as_str()), services, table, shard, worker }.build()
    }

    /// The version on trial that the request asks for, or its share of the split: its client's own, or the
    /// next; `None` when all weights are 0.
    #[must_use]
    pub fn target(&self, request: &Parts, client: IpAddr) -> Option<&Target> {
        if let Some((_, target)) = self.previews.iter().find(|(asking, _)| asking.is_made_by(request)) {
            return Some(target);
        }
        let own = self.cohorts.as_ref().zip(self.settings.cohort.as_ref());
        let own = own.and_then(|(cohorts, by)| cohorts.of_request(by, request, client));
        own.or_else(|| self.split.pick()).and_then(|at| self.targets.get(at))
    }
}

struct Builder<'a> {
    route: &'a Arc<Route>,
    name: Arc<str>,
    services: &'a BTreeMap<ServiceName, Rc<ServiceView>>,
    table: &'a Table,
    shard: &'a Shard,
    worker: usize,
}

impl Builder<'_> {
    fn build(self) -> RouteView {
        let route = self.route;
        let shares = if route.cohort.is_some() {
            shares::by_version(route, self.services)
        } else {
            route.split.clone()
        };
        let known = |share: &SplitTarget| Some((share.weight, self.target(share, self.group(share)?)?));
        let (weights, targets): (_, Vec<_>) = shares.iter().filter_map(known).unzip();
        let weights = without_withdrawn(weights, &targets);
        let mirror = route.mirror.as_ref();
        RouteView {
            settings: Arc::clone(route),
            faults: route.fault.clone().map(Faults::new),
            authentication: self.authentication(),
            services: route.split.iter().map(|share| share.service.clone()).collect(),
            rates: RouteRates::new(self.rates(None)),
            shadow: mirror
                .and_then(|mirror| Some(Rc::new(Shadow::new(mirror.clone(), self.asked(&mirror.target)?)))),
            previews: self.previews(),
            cohorts: route.cohort.as_ref().map(|_| Cohorts::new(shares.iter().zip(weights.iter().copied()))),
            split: TrafficSplit::new(weights),
            targets,
            name: self.name,
        }
    }

    fn target(&self, share: &SplitTarget, group: Group) -> Option<Target> {
        let service = self.services.get(&share.service)?;
        Some(Target {
            service: Rc::clone(service),
            group,
            terms: CallTerms::new(self.route, &service.table.live, &self.table.live.settings.server),
            rates: self.rates(Some(&share.service)),
            counters: self.shard.route(&share.service, &self.name),
            shadow: self.copied(share),
            is_preview: false,
        })
    }

    /// The versions on trial that this route's shares could lead to, each once.
    fn previews(&self) -> Vec<(Asking, Target)> {
        let mut previews: Vec<(Asking, Target)> = Vec::new();
        for share in &self.route.split {
            let known =
                previews.iter().any(|(_, target)| target.service.nowhere.service == share.service.as_str());
            let asked = || {
                let (version, preview) =
                    self.services.get(&share.service)?.table.live.trial.preview.as_ref()?;
                let target = self.on_trial(share, version)?;
                let target = self.target(&target, self.asked(&target)?)?;
                Some((Asking::of(preview)?, Target { is_preview: true, shadow: None, ..target }))
            };
            previews.extend(if known { None } else { asked() });
        }
        previews
    }

    /// Where a lease has requests to the share's service copied to.
    fn copied(&self, share: &SplitTarget) -> Option<Rc<Shadow>> {
        let (version, copies) = self.services.get(&share.service)?.table.live.trial.copies.as_ref()?;
        let target = self.on_trial(&SplitTarget { version: None, ..share.clone() }, version)?;
        let group = self.asked(&target)?;
        Some(Rc::new(Shadow::leased(target, *copies, group)))
    }

    /// The share's endpoints of `version`, where it is not for another one.
    fn on_trial(&self, share: &SplitTarget, version: &str) -> Option<SplitTarget> {
        let other = share.version.as_ref().is_some_and(|own| own != version);
        (!other).then(|| SplitTarget { version: Some(version.to_owned()), ..share.clone() })
    }

    fn group(&self, share: &SplitTarget) -> Option<Group> {
        let (members, service) = self.members(share)?;
        Some(Group::new(members, &service.table, self.worker))
    }

    /// The same for those who ask for just this share, whatever weight it has.
    fn asked(&self, share: &SplitTarget) -> Option<Group> {
        let (members, service) = self.members(share)?;
        Some(Group::on_request(members, &service.table, self.worker))
    }

    fn members(&self, share: &SplitTarget) -> Option<(Vec<Rc<EndpointView>>, &ServiceView)> {
        let service = self.services.get(&share.service)?;
        let wanted = |e: &&Rc<EndpointView>| share.names(&e.handle.live.settings);
        Some((service.endpoints.iter().filter(wanted).cloned().collect(), service))
    }

    fn authentication(&self) -> Option<Vec<Arc<Known>>> {
        self.table.authenticator.as_ref()?.of_route(self.route.authentication.as_deref())
    }

    /// The rules for requests by this route: those that ask for no service, or those that do, for `service`.
    fn rates(&self, service: Option<&ServiceName>) -> Vec<Arc<Rule>> {
        let of = |rule: &&Arc<Rule>| {
            let terms = &rule.terms;
            let named = |service| terms.services.is_empty() || terms.services.contains(service);
            terms.needs_service() == service.is_some()
                && service.is_none_or(named)
                && (terms.routes.is_empty() || terms.routes.contains(&self.route.name))
        };
        self.table.rates.iter().flat_map(|rates: &Arc<Rates>| &rates.rules).filter(of).cloned().collect()
    }
}

/// A share that leases have left without any endpoint is carried by the others, if there are others:
/// what is done against one bad version would otherwise have its whole share refused.
fn without_withdrawn(weights: Vec<u32>, targets: &[Target]) -> Vec<u32> {
    let served = |(weight, target): (&u32, &Target)| if target.group.is_withdrawn() { 0 } else { *weight };
    let left: Vec<u32> = weights.iter().zip(targets).map(served).collect();
    if left.iter().any(|weight| *weight > 0) { left } else { weights }
}
