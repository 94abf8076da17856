//! One worker's own reading of the table: routes joined with groups, pools and counters.
//!
//! Rebuilt when the table was swapped, never shared, so that a request looks nothing up by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::request::Parts;
use protocol::id::ServiceName;

use super::call_terms::CallTerms;
pub use super::route_view::{RouteView, Target};
use super::router::{Found, Router};
use crate::middleware::block_list::BlockList;
use crate::middleware::shed::Shedder;
use crate::security::authorization::external::Line;
use crate::security::cors;
use crate::settings::{Algorithm, Priority, Route};
use crate::table::{EndpointHandle, ServiceTable, Table};
use crate::telemetry::cells::{EndpointLabel, NO_ENDPOINT};
use crate::telemetry::shard::Shard;
use crate::upstream::admission::Terms;
use crate::upstream::breaker::Rules;
use crate::upstream::gate::{Full, Place};
use crate::upstream::group::EndpointView;
use crate::upstream::lateness::Lateness;
use crate::upstream::outlier::Watch;
use crate::upstream::pool::EndpointPool;
use crate::upstream::retry_budget::RetryBudget;

/// See the module.
#[derive(Debug)]
pub struct View {
    /// What it was built from.
    pub table: Arc<Table>,
    /// Who is refused.
    pub blocks: BlockList,
    router: Rc<Router>,
    /// The way to an authorizer elsewhere, if one is asked.
    pub authorizer: Option<Rc<Line>>,
    /// Whether any route lets pages of other origins in.
    cross_origin: bool,
    /// In the order of the configuration.
    routes: Vec<RouteView>,
    services: BTreeMap<ServiceName, Rc<ServiceView>>,
    endpoints: Vec<Rc<EndpointView>>,
}

/// One service.
#[derive(Debug)]
pub struct ServiceView {
    /// Decisions, and endpoints with their weather.
    pub table: Arc<ServiceTable>,
    /// Where requests stand in telemetry that found no endpoint.
    pub nowhere: Arc<EndpointLabel>,
    /// The retries that its requests have earned.
    pub retries: Rc<RetryBudget>,
    /// In what time it answers most of them.
    pub lateness: Rc<Lateness>,
    /// In the order of the configuration.
    pub(super) endpoints: Vec<Rc<EndpointView>>,
    shedder: Shedder,
}

impl View {
    /// Reads `table` for the worker `worker`; connections of `before` are kept where the endpoint
    /// is still there.
    #[must_use]
    pub fn build(table: Arc<Table>, before: Option<&Self>, shard: &Shard, worker: usize) -> Self {
        let builder = Builder { before, shard, all: RefCell::default() };
        let built =
            table.services.iter().map(|(name, service)| (name.clone(), builder.service(name, service)));
        let services: BTreeMap<ServiceName, Rc<ServiceView>> = built.collect();
        let settings = &table.live.settings;
        let router = match before.filter(|view| Arc::ptr_eq(&view.table.live.settings, settings)) {
            Some(view) => Rc::clone(&view.router),
            None => Rc::new(Router::new(settings.routes.iter().map(AsRef::as_ref))),
        };
        let routes = settings
            .routes
            .iter()
            .map(|route| RouteView::build(route, &services, &table, shard, worker))
            .collect();
        let blocks = BlockList::new(&table.live.blocks);
        shard.retain_backends(|service, endpoint| {
            let service = table.services.get(service);
            service.is_some_and(|s| s.endpoints.iter().any(|e| e.live.settings.id == *endpoint))
        });
        let ways: HashSet<(&ServiceName, &str)> =
            settings.routes.iter().flat_map(|route| ways(route)).collect();
        shard.retain_routes(|service, route| ways.contains(&(service, route)));
        drop(ways);
        let endpoints = builder.all.into_inner();
        let cross_origin = table.live.settings.routes.iter().any(|route| route.cors.is_some());
        let authorizer = authorizer(&table, before);
        Self { table, blocks, router, authorizer, cross_origin, routes, services, endpoints }
    }

    /// The most specific route that takes the request, and how it was found.
    #[must_use]
    pub fn route(&self, request: &Parts) -> Option<(&RouteView, Found)> {
        let found = self.router.find(request)?;
        self.routes.get(found.route).map(|route| (route, found))
    }

    /// The same. Where pages of other origins are let in, a preflight is led where the request will be that it
    /// asks about, though no route takes OPTIONS.
    #[must_use]
    pub fn route_of(&self, request: &mut Parts) -> Option<(&RouteView, Found)> {
        if self.cross_origin
            && let Some(method) = cors::asked_method(request)
        {
            let own = std::mem::replace(&mut request.method, method);
            let found = self.route(request);
            request.method = own;
            if found.as_ref().is_some_and(|(route, _)| route.settings.cors.is_some()) {
                return found;
            }
        }
        self.route(request)
    }

    /// Every endpoint, for upkeep.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointView> {
        self.endpoints.iter().map(AsRef::as_ref)
    }
}

impl ServiceView {
    /// Whether clients are given a session's cookie.
    #[must_use]
    pub fn gives_cookies(&self) -> bool {
        self.table.live.settings.balancing.gives_cookies()
    }

    /// A place for a request, where places are limited.
    ///
    /// # Errors
    /// There is none.
    pub async fn place(&self, request: &Parts, terms: &CallTerms) -> Result<Option<Place>, Full> {
        let limits = self.table.gate.as_ref().zip(self.table.live.settings.limits.as_ref());
        let Some((gate, limits)) = limits else { return Ok(None) };
        let said = limits.priority_header.as_ref().and_then(|name| request.headers.get(name));
        let priority = said.and_then(|said| Priority::named(said.as_bytes())).unwrap_or(terms.priority);
        gate.enter(limits, priority).await.map(Some)
    }

    /// Whether a lease has this request refused.
    #[must_use]
    pub fn sheds(&self) -> bool {
        self.shedder.refuses(&self.table.live.shed, || {
            let in_flight = |e: &Rc<EndpointView>| e.handle.state.in_flight.load(Ordering::Relaxed);
            self.endpoints.iter().map(in_flight).fold(0, u32::saturating_add)
        })
    }
}

struct Builder<'a> {
    before: Option<&'a View>,
    shard: &'a Shard,
    all: RefCell<Vec<Rc<EndpointView>>>,
}

impl Builder<'_> {
    fn service(&self, name: &ServiceName, service: &Arc<ServiceTable>) -> Rc<ServiceView> {
        let endpoints: Vec<_> =
            service.endpoints.iter().map(|handle| self.endpoint(name, service, handle)).collect();
        self.all.borrow_mut().extend(endpoints.iter().cloned());
        let nowhere = Arc::new(label(name, "", NO_ENDPOINT));
        let before = self.before.and_then(|view| view.services.get(name));
        Rc::new(ServiceView {
            table: Arc::clone(service),
            nowhere,
            retries: before.map_or_else(Rc::default, |before| Rc::clone(&before.retries)),
            lateness: before.map_or_else(Rc::default, |before| Rc::clone(&before.lateness)),
            shedder: Shedder::default(),
            endpoints,
        })
    }

    fn endpoint(
        &self,
        name: &ServiceName,
        service: &ServiceTable,
        handle: &EndpointHandle,
    ) -> Rc<EndpointView> {
        let settings = &handle.live.settings;
        let cookies = service.live.settings.balancing.gives_cookies();
        let limits = service.live.settings.limits.as_ref();
        let counters = self.shard.backend(name, &settings.id);
        let transport = &service.live.settings.transport;
        let known =
            |e: &&Rc<EndpointView>| Arc::ptr_eq(&e.handle.state, &handle.state) && e.pool.speaks(transport);
        let kept = self.before.and_then(|view| view.endpoints.iter().find(known));
        let pool = match kept {
            Some(endpoint) => Rc::clone(&endpoint.pool),
            None => EndpointPool::new(
                Arc::clone(settings),
                Arc::clone(transport),
                Arc::clone(&counters),
                Arc::clone(&handle.state.seats),
            ),
        };
        Rc::new(EndpointView {
            handle: handle.clone(),
            terms: Terms {
                breaker: Rules { settings: service.live.settings.breaker, held: handle.live.breaker },
                latency: service.live.tuning.algorithm == Algorithm::PeakEwma,
                outliers: service.live.settings.outliers.as_ref().map(Watch::from),
                max_requests: limits.and_then(|limits| limits.max_endpoint_requests),
            },
            gate: service.gate.clone().zip(limits.and_then(|limits| limits.adaptive)),
            mark: if cookies { service.secret.mark(name, &settings.id) } else { 0 },
            label: Arc::new(label(name, &settings.version, settings.id.as_str())),
            counters,
            pool,
        })
    }
}

fn label(service: &ServiceName, version: &str, endpoint: &str) -> EndpointLabel {
    EndpointLabel { service: service.to_string(), version: version.to_owned(), endpoint: endpoint.to_owned() }
}

fn ways(route: &Route) -> impl Iterator<Item = (&ServiceName, &str)> {
    route.split.iter().map(|share| (&share.service, route.name.as_str()))
}

/// With the connections of `before`, where it is the same.
fn authorizer(table: &Table, before: Option<&View>) -> Option<Rc<Line>> {
    let external = table.live.settings.security.authorization.as_ref()?.external.as_ref()?;
    let same = |line: &&Rc<Line>| Arc::ptr_eq(&line.to, external);
    let known = before.and_then(|view| view.authorizer.as_ref()).filter(same).cloned();
    Some(known.unwrap_or_else(|| Rc::new(Line::new(Arc::clone(external)))))
}
