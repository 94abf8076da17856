//! `GET /v1/series`: the last hour in points, for charts.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Api;
use crate::history::{POINTS, Part, Point, STEP_MS, Track};

/// Endpoints of one service that are told at once.
const MAX_ENDPOINTS: usize = 200;
/// How far back those go, milliseconds.
const ENDPOINTS_SINCE_MS: i64 = 600_000;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
struct SeriesQuery {
    /// Absent: the mesh as a whole.
    #[serde(default)]
    service: String,
    /// One endpoint of it.
    endpoint: Option<String>,
    /// All endpoints of it instead.
    #[serde(default)]
    endpoints: bool,
    /// One of `rps`, `failure_share`, `p50_ms`, `p99_ms`, `weight`; absent: all.
    metric: Option<String>,
    /// Milliseconds since the epoch; absent: all there is.
    since: Option<i64>,
}

/// The past of one thing: point `i` is of the step that begins at `start_ms + i * step_ms`; null where
/// nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The service; empty: the mesh.
    pub service: String,
    /// The endpoint, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Of the first point, milliseconds since the epoch.
    pub start_ms: i64,
    /// From one point to the next.
    pub step_ms: i64,
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rps: Vec<Option<f32>>,
    /// Share of failures, 0 to 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_share: Vec<Option<f32>>,
    /// Median, milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p50_ms: Vec<Option<f32>>,
    /// 99th percentile, milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p99_ms: Vec<Option<f32>>,
    /// Weight as the proxies told; 0 while it is out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight: Vec<Option<u32>>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/series", get(series))
}

async fn series(State(api): State<Api>, Query(query): Query<SeriesQuery>) -> Json<Items<Series>> {
    let now_ms = api.live.load().view.at_ms;
    let least = if query.endpoints { now_ms - ENDPOINTS_SINCE_MS } else { now_ms - POINTS as i64 * STEP_MS };
    let since = query.since.unwrap_or(least).max(least);
    let wanted = |part: &Part| match (part, &query.endpoint) {
        (Part::Endpoint(name), Some(one)) => name == one,
        (Part::Endpoint(_), None) => query.endpoints,
        (Part::Whole, None) => !query.endpoints,
        _ => false,
    };
    let tracks = api.history.tracks(&query.service, since, wanted);
    let told = tracks.into_iter().take(MAX_ENDPOINTS);
    Json(Items::all(told.map(|(part, track)| told_of(&query, part, &track)).collect()))
}

fn told_of(query: &SeriesQuery, part: Part, track: &Track) -> Series {
    let endpoint = match part {
        Part::Endpoint(name) => Some(name),
        Part::Whole | Part::Caller(_) => None,
    };
    let first = track.points.front().map_or(0, |point| point.step);
    let wants = |metric: &str| query.metric.as_deref().is_none_or(|one| one == metric);
    let column = |metric: &str, of: fn(&Point) -> f32| {
        if wants(metric) { spread(track, |point| Some(of(point))) } else { Vec::new() }
    };
    Series {
        service: query.service.clone(),
        start_ms: first * STEP_MS,
        step_ms: STEP_MS,
        rps: column("rps", |p| p.rps),
        failure_share: column("failure_share", |p| p.failure_share),
        p50_ms: column("p50_ms", |p| p.p50_ms),
        p99_ms: column("p99_ms", |p| p.p99_ms),
        weight: if endpoint.is_some() && wants("weight") {
            spread(track, |p| if p.ejected { Some(0) } else { p.weight() })
        } else {
            Vec::new()
        },
        endpoint,
    }
}

/// The points on an even grid, with nothing where there is none.
fn spread<T: Clone>(track: &Track, of: impl Fn(&Point) -> Option<T>) -> Vec<Option<T>> {
    let mut all: Vec<Option<T>> = Vec::with_capacity(track.points.len());
    let Some(first) = track.points.front().map(|point| point.step) else { return all };
    for point in &track.points {
        let place = usize::try_from(point.step - first).unwrap_or(usize::MAX).min(POINTS);
        all.resize(place.max(all.len()), None);
        all.push(of(point));
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::domain::View;
    use crate::history::History;

    #[test]
    fn a_gap_is_told_as_nothing() {
        let history = History::default();
        for at_ms in [0, 2_000, 8_000] {
            let view: View = serde_json::from_value(serde_json::json!({
                "at_ms": at_ms, "mode": "advisory", "frozen": false, "epoch": 1, "incidents": [], "proposals": [],
                "actions": [], "proxies": [], "services": []
            }))
            .unwrap();
            history.keep(&view);
        }
        let (part, track) = history.tracks("", 0, |_| true).remove(0);
        let told =
            told_of(&SeriesQuery { metric: Some("rps".into()), ..SeriesQuery::default() }, part, &track);
        assert_eq!(told.rps, [Some(0.0), Some(0.0), None, None, Some(0.0)]);
        assert!(told.p99_ms.is_empty() && told.endpoint.is_none());
    }
}
