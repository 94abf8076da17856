//! What stands between a request and its route: each guard in the place that [`super::answer`] gives it.
//! None of them costs more than a look at an `Option` where it is not asked for.

use std::sync::Arc;

use http::request::Parts;
use tokio::time::Instant;

use super::Asker;
use super::seen::Seen;
use crate::clock;
use crate::error::Refusal;
use crate::routing::view::View;
use crate::security::rate_limit::{Asked, Rule, tell};

/// Whether the client's network is let in: by leases, then by the configuration.
pub(super) fn network(view: &View, asker: Asker) -> Result<(), Refusal> {
    let lists = view.table.live.settings.security.ip_lists.as_ref();
    let refused = view.blocks.contains(asker.ip) || lists.is_some_and(|lists| lists.refuses(asker.ip));
    if refused { Err(Refusal::Blocked) } else { Ok(()) }
}

/// Whether the client may ask again already, by `rules` of a route, or of a route to a service.
pub(super) fn rate(
    view: &View,
    rules: &[Arc<Rule>],
    (parts, asker): (&Parts, Asker),
    (route, service): (&str, &str),
    seen: &Seen<'_>,
) -> Result<(), Refusal> {
    let Some(rates) = view.table.rates.as_ref().filter(|_| !rules.is_empty()) else { return Ok(()) };
    let asked = Asked { ip: asker.ip, headers: &parts.headers, route, service, user: None };
    let standing = rates.admit(rules, asked, clock::ns_at(Instant::now()));
    seen.fields(|fields| tell(&standing, rates.headers, fields));
    match standing.last() {
        Some((_, Err(_))) => Err(Refusal::RateLimited),
        _ => Ok(()),
    }
}
