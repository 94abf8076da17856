#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;

fn view(at_ms: i64, rps: f64) -> View {
    let endpoint = json!({ "endpoint": "10.0.0.1:80", "version": "v1", "rps": rps, "failure_share": 0.5,
        "p99_ms": 9.0, "weight": 100, "ejected": true });
    serde_json::from_value(json!({
        "at_ms": at_ms, "mode": "advisory", "frozen": false, "epoch": 1, "incidents": [], "proposals": [],
        "actions": [], "proxies": [],
        "services": [{ "service": "cart", "rps": rps, "failure_share": 0.5, "p50_ms": 1.0, "p99_ms": 9.0,
            "callers": ["web"], "calls": [{ "caller": "web", "rps": rps, "failure_share": 0.5 }],
            "learned_s": 3, "endpoints": [endpoint] }]
    }))
    .unwrap()
}

#[test]
fn the_mesh_is_shown_as_it_was() {
    let history = History::default();
    history.keep(&view(100_000, 10.0));
    history.keep(&view(102_000, 20.0));
    let services = history.services_at(101_999);
    assert_eq!(services.len(), 1);
    assert_eq!((services[0].rps, services[0].calls[0].rps), (10.0, 10.0));
    let endpoint = &services[0].endpoints[0];
    assert_eq!((endpoint.weight, endpoint.ejected, endpoint.version.as_str()), (Some(100), true, "v1"));
    assert_eq!(history.services_at(105_000)[0].rps, 20.0, "a point stands for the next seconds");
    assert!(history.services_at(108_000).is_empty(), "but not for long");
    assert!(history.services_at(99_000).is_empty());
}

#[test]
fn an_hour_is_kept_and_no_more() {
    let history = History::default();
    for step in 0..POINTS as i64 + 50 {
        history.keep(&view(step * STEP_MS, 10.0));
    }
    let tracks = history.tracks("cart", 0, |part| *part == Part::Whole);
    assert_eq!(tracks[0].1.points.len(), POINTS);
    let mut gone = view((POINTS as i64 * 2 + 100) * STEP_MS, 10.0);
    gone.services.clear();
    history.keep(&gone);
    assert!(history.tracks("cart", 0, |_| true).is_empty(), "what is gone for an hour takes no room");
}

#[test]
fn things_beyond_the_bound_have_no_past() {
    let history = History::default();
    let mut many = view(0, 1.0);
    let one = many.services[0].clone();
    many.services =
        (0..MAX_TRACKS).map(|n| ServiceView { service: format!("s{n}"), ..one.clone() }).collect();
    history.keep(&many);
    assert_eq!(history.0.read().unwrap().len(), MAX_TRACKS);
}
