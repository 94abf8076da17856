use proptest::prelude::*;
use protocol::action::ActionRequest;
use serde_json::{Value, json};

use super::*;
use crate::leases::sample::{id, request, settings, with};
use crate::leases::{admit, fitting};

fn live(requests: &[(&str, Value)]) -> LiveState {
    let all = requests.iter().enumerate().fold(Leases::default(), |leases, (n, (service, kind))| {
        with(&leases, &format!("a{n}"), request(service, kind.clone()))
    });
    derive(&settings(), &all)
}

fn cart(live: &LiveState) -> &LiveService {
    live.services.iter().find(|(name, _)| name.as_str() == "cart").map(|(_, s)| s).unwrap()
}

#[test]
fn without_leases_everything_is_as_configured() {
    let live = live(&[]);
    assert!(cart(&live).endpoints.iter().all(|e| e.weight == 100 && !e.ejected));
    assert_eq!(cart(&live).shed, Shed::default());
    assert!(live.blocks.is_empty());
}

#[test]
fn a_trip_wins_over_a_reset_and_the_strictest_shed_over_the_others() {
    let live = live(&[
        ("cart", json!({"type": "trip_breaker", "endpoint": "10.0.0.1:80"})),
        ("cart", json!({"type": "reset_breaker", "endpoint": "10.0.0.1:80"})),
        ("cart", json!({"type": "reset_breaker", "endpoint": "10.0.0.2:80"})),
        ("cart", json!({"type": "shed_load", "fraction": 0.2})),
        ("cart", json!({"type": "shed_load", "fraction": 0.1})),
        ("cart", json!({"type": "shed_load", "max_in_flight": 10})),
        ("cart", json!({"type": "shed_load", "max_in_flight": 7})),
    ]);
    assert_eq!(cart(&live).endpoints[0].breaker, HeldBreaker::Open);
    assert_eq!(cart(&live).endpoints[1].breaker, HeldBreaker::Closed);
    assert_eq!(cart(&live).shed, Shed { fraction: 0.2, max_in_flight: Some(7) });
}

/// Kinds, valid or not, over two services.
fn any_request() -> impl Strategy<Value = ActionRequest> {
    let endpoint = (1u8..=6).prop_map(|n| format!("10.0.0.{n}:80"));
    let target = prop_oneof![endpoint.clone(), Just("version:v1".to_owned()), Just("version:v2".to_owned())];
    let weights = proptest::collection::btree_map(target, 0u32..300, 0..4)
        .prop_map(|weights| json!({"type": "set_weights", "weights": weights}));
    let about = |kind: &'static str| move |e: String| json!({"type": kind, "endpoint": e});
    let blocks = proptest::collection::vec((any::<[u8; 4]>(), 20u8..=32), 0..4).prop_map(|nets| {
        let text = |(a, len): &([u8; 4], u8)| format!("{}.{}.{}.{}/{len}", a[0], a[1], a[2], a[3]);
        json!({"type": "block_ips", "cidrs": nets.iter().map(text).collect::<Vec<_>>()})
    });
    let kind = prop_oneof![
        weights,
        endpoint.clone().prop_map(about("eject_endpoint")),
        endpoint.clone().prop_map(about("trip_breaker")),
        endpoint.prop_map(about("reset_breaker")),
        blocks,
        (0.0f64..1.2).prop_map(|f| json!({"type": "shed_load", "fraction": f})),
        (0u32..9).prop_map(|n| json!({"type": "shed_load", "max_in_flight": n})),
        (5u64..90).prop_map(|ms| json!({"type": "set_timeout", "request_timeout_ms": ms})),
        (0.0f64..1.2, 0u32..12)
            .prop_map(|(ratio, n)| json!({"type": "set_retry_budget", "ratio": ratio, "max_attempts": n})),
        Just(json!({"type": "set_algorithm", "algorithm": "random"})),
        (0u32..110)
            .prop_map(|w| json!({"type": "set_canary_weight", "stable": "v1", "canary": "v2", "weight": w})),
        Just(json!({"type": "rollback_canary", "version": "v2"})),
        (0.5f64..3.0, 0u32..3)
            .prop_map(|(rps, n)| json!({"type": "limit_rate", "key": "ip", "rps": rps, "burst": n})),
    ];
    (prop_oneof![Just("cart"), Just("web")], kind).prop_map(|(service, kind)| request(service, kind))
}

/// One lease an endpoint or service part, so that no two touch the same.
fn disjoint() -> impl Strategy<Value = Vec<ActionRequest>> {
    let mut all = vec![
        request("cart", json!({"type": "block_ips", "cidrs": ["10.1.0.0/25"]})),
        request("web", json!({"type": "block_ips", "cidrs": ["10.1.0.128/25"]})),
        request("web", json!({"type": "shed_load", "fraction": 0.5})),
        request("web", json!({"type": "set_weights", "weights": {"version:v1": 7}})),
        request("web", json!({"type": "set_weights", "weights": {"version:v2": 3}})),
    ];
    for n in 1..=5 {
        let endpoint = format!("10.0.0.{n}:80");
        all.push(request("cart", json!({"type": "set_weights", "weights": {&endpoint: n}})));
        all.push(request("cart", json!({"type": "eject_endpoint", "endpoint": endpoint})));
    }
    Just(all).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn disjoint_leases_mean_the_same_in_any_order(there in disjoint(), back in disjoint(), take in 0usize..16) {
        let name = |r: &ActionRequest| crate::digest::of(r);
        let some: Vec<String> = there.iter().take(take).map(name).collect();
        let build = |order: &[ActionRequest]| order.iter().filter(|r| some.contains(&name(r))).fold(
            Leases::default(), |leases, r| with(&leases, &name(r), r.clone()));
        prop_assert_eq!(derive(&settings(), &build(&there)).hash, derive(&settings(), &build(&back)).hash);
    }

    #[test]
    fn no_accepted_sequence_breaks_the_floor_and_undo_restores_the_hash(
        steps in proptest::collection::vec((any_request(), any::<bool>(), 0usize..8), 1..24)
    ) {
        let settings = settings();
        let mut leases = Leases::default();
        for (n, (request, undo, victim)) in steps.into_iter().enumerate() {
            let before = derive(&settings, &leases).hash;
            let trial = with(&leases, &format!("a{n}"), request.clone());
            if let Ok(state) = admit(&settings, &trial, &request) {
                prop_assert_eq!(&state.hash, &derive(&settings, &trial).hash);
                let mut undone = trial.clone();
                undone.remove(&id(&format!("a{n}")));
                let (undone, dropped) = fitting(&settings, &undone);
                prop_assert!(dropped.is_empty());
                prop_assert_eq!(derive(&settings, &undone).hash, before);
                leases = trial;
            }
            if undo && let Some(row) = leases.rows().get(victim) {
                leases.remove(&row.receipt.id);
                leases = fitting(&settings, &leases).0;
            }
            let live = derive(&settings, &leases);
            for service in live.services.values() {
                prop_assert!(service.servable_share() >= 0.5 - 1e-9);
                prop_assert!(service.endpoints.iter().any(|e| e.weight > 0 && !e.ejected));
                prop_assert!(service.shed.fraction <= 0.9);
            }
            prop_assert!(blocks::ipv4_addresses(&live.blocks) <= 16_384);
        }
    }
}

#[test]
fn a_lease_that_was_taken_thanks_to_another_goes_with_it() {
    let settings = settings();
    let eject =
        |n: u8| request("cart", json!({"type": "eject_endpoint", "endpoint": format!("10.0.0.{n}:80")}));
    let zero =
        request("cart", json!({"type": "set_weights", "weights": {"10.0.0.1:80": 0, "10.0.0.2:80": 0}}));
    let full = request("cart", json!({"type": "set_weights", "weights": {"10.0.0.1:80": 100}}));
    let mut leases = with(&Leases::default(), "zero", zero);
    leases = with(&leases, "full", full);
    leases = with(&leases, "eject", eject(3));
    assert!(admit(&settings, &leases, &eject(3)).is_ok());
    leases.remove(&id("full"));
    let (kept, dropped) = fitting(&settings, &leases);
    assert_eq!(kept.len(), 1);
    assert_eq!(dropped[0].0.receipt.id, id("eject"));
    assert!(derive(&settings, &kept).services.values().all(|s| s.servable_share() >= 0.5));
}

#[test]
fn what_may_not_be_asked_is_refused_with_the_reason() {
    let settings = settings();
    let cases = [
        ("cart", json!({"type": "eject_endpoint", "endpoint": "10.0.0.9:80"})),
        ("nowhere", json!({"type": "eject_endpoint", "endpoint": "10.0.0.1:80"})),
        ("cart", json!({"type": "set_weights", "weights": {}})),
        ("cart", json!({"type": "set_weights", "weights": {"version:v7": 1}})),
        ("cart", json!({"type": "set_weights", "weights": {"version:v1": 1, "10.0.0.1:80": 1}})),
        ("cart", json!({"type": "set_weights", "weights": {"version:v1": 0}})),
        ("cart", json!({"type": "shed_load"})),
        ("cart", json!({"type": "shed_load", "fraction": 0.95})),
        ("cart", json!({"type": "shed_load", "fraction": 0.5, "max_in_flight": 3})),
        ("cart", json!({"type": "block_ips", "cidrs": ["0.0.0.0/0"]})),
        ("cart", json!({"type": "limit_rate", "key": "user", "rps": 5.0, "burst": 5})),
        ("cart", json!({"type": "limit_rate", "key": "route", "rps": 0.5, "burst": 5})),
        ("cart", json!({"type": "limit_rate", "key": "header:x-key", "rps": 5.0, "burst": 0})),
        ("cart", json!({"type": "set_timeout", "request_timeout_ms": 9})),
        ("cart", json!({"type": "set_retry_budget", "ratio": 1.5, "max_attempts": 2})),
        ("cart", json!({"type": "set_retry_budget", "ratio": 0.5, "max_attempts": 11})),
        ("cart", json!({"type": "set_algorithm", "algorithm": "best"})),
        ("cart", json!({"type": "scale", "replicas": 9})),
    ];
    let mut said = String::new();
    for (service, kind) in cases {
        let request = request(service, kind);
        let leases = with(&Leases::default(), "a", request.clone());
        let problem = admit(&settings, &leases, &request).unwrap_err().problem();
        said.push_str(&format!("{} {}\n", problem.status, problem.detail));
    }
    insta::assert_snapshot!(said, @r#"
    422 cart has no endpoint 10.0.0.9:80
    404 no service is called nowhere
    422 weights names no target
    422 cart has no endpoint version:v7
    422 version:v1 names an endpoint that its own version names already
    422 20.0 % of the configured weight of cart would stay servable with all live leases together; the floor is 50.0 %
    422 shed_load takes exactly one of max_in_flight and fraction
    422 a fraction of 0.95 is above 0.9
    422 shed_load takes exactly one of max_in_flight and fraction
    422 0.0.0.0/0 is wider than /24
    422 "user" is no key: give ip, header:NAME or route
    422 rps 0.5 is out of range: 1 to 1000000
    422 burst 0 is out of range: 1 to 1000000
    422 request_timeout_ms 9 is out of range: 10 to 86400000
    422 ratio 1.5 is out of range: 0 to 1
    422 max_attempts 11 is out of range: 1 to 10
    422 there is no algorithm "best": give one of round_robin, weighted_round_robin, least_connections, consistent_hash, random, peak_ewma
    422 scale is carried out by the brain, never by a proxy
    "#);
}

#[test]
fn blocks_are_bounded_over_all_leases_together() {
    let settings = settings();
    let block = |third: u8| {
        let nets: Vec<String> = (0..32).map(|n| format!("10.{third}.{n}.0/24")).collect();
        request("cart", json!({"type": "block_ips", "cidrs": nets}))
    };
    let two = with(&with(&Leases::default(), "a", block(1)), "b", block(2));
    assert!(admit(&settings, &two, &block(2)).is_ok(), "16,384 addresses are the most");
    assert!(admit(&settings, &with(&two, "again", block(2)), &block(2)).is_ok(), "an overlap adds nothing");
    let one_more = request("web", json!({"type": "block_ips", "cidrs": ["192.0.2.1/32"]}));
    assert!(admit(&settings, &with(&two, "c", one_more.clone()), &one_more).is_err());
}
