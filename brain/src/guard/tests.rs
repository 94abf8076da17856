//! The ledger never exceeds the blast radius, whatever is proposed in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::action::ActionKind;
use protocol::id::EndpointId;
use protocol::latency::{Latency, index_of};
use protocol::telemetry::{Cell, Window};

use super::*;
use crate::domain::{ProposalState, ProposedAction, Radius};
use crate::policies::{DetectionPolicy, GuardPolicy};

const NOW_MS: i64 = 1_000_000;

fn endpoint(service: usize, n: usize) -> String {
    format!("10.0.{service}.{n}:80")
}

/// Services of these many endpoints, each with a little traffic.
fn mesh(sizes: &[usize]) -> MeshState {
    let cell = |service: usize, n: usize| Cell {
        service: format!("s{service}"),
        endpoint: endpoint(service, n),
        caller: "web".into(),
        requests: 3,
        status: BTreeMap::from([("2xx".to_owned(), 3)]),
        latency: Latency { buckets: vec![(index_of(3_000), 3)], ..Latency::default() },
        ..Cell::default()
    };
    let cells = sizes.iter().enumerate().flat_map(|(s, size)| (0..*size).map(move |n| cell(s, n))).collect();
    let window = Window {
        proxy: "p".into(),
        boot: "b".into(),
        seq: 1,
        start_ms: NOW_MS - 1_000,
        duration_ms: 1_000,
        config_hash: String::new(),
        cells,
        clients: Vec::new(),
        clients_other: None,
    };
    let mut mesh = MeshState::default();
    mesh.observe(&window, NOW_MS, &DetectionPolicy::default());
    mesh
}

fn proposal(action: ProposedAction) -> Proposal {
    Proposal {
        id: "prop-1".into(),
        digest: String::new(),
        state: ProposalState::Pending,
        incident: None,
        confidence: 1.0,
        created_ms: NOW_MS,
        expires_ms: NOW_MS,
        expires_at: String::new(),
        action,
        evidence: Vec::new(),
        predicted_effect: String::new(),
        radius: Radius::default(),
        speakers: Vec::new(),
        asked_by: None,
        footing: None,
        approvals_needed: 1,
        approvals: Vec::new(),
    }
}

fn action() -> impl Strategy<Value = (usize, usize, u8, u32)> {
    (0usize..3, 0usize..8, 0u8..4, 0u32..5)
}

fn typed((service, n, which, weight): (usize, usize, u8, u32), sizes: &[usize]) -> ProposedAction {
    let n = n % sizes[service];
    let id = endpoint(service, n);
    let target = EndpointId::new(id.clone()).unwrap();
    let kind = match which {
        0 => ActionKind::EjectEndpoint { endpoint: target },
        1 => ActionKind::TripBreaker { endpoint: target },
        2 => ActionKind::SetWeights { weights: BTreeMap::from([(id, weight)]) },
        _ => ActionKind::ShedLoad { max_in_flight: None, fraction: Some(f64::from(weight) / 10.0) },
    };
    ProposedAction { service: format!("s{service}"), kind, lease_ms: 15_000 }
}

fn situation<'a>(
    policy: &'a GuardPolicy,
    ledger: &'a Ledger,
    mesh: &'a MeshState,
    fleet: &'a Fleet,
    sick: &'a BTreeSet<(String, String)>,
) -> Situation<'a> {
    static NOTHING: std::sync::LazyLock<Learned> = std::sync::LazyLock::new(Learned::default);
    Situation {
        policy,
        ledger,
        learned: &NOTHING,
        mesh,
        fleet,
        mode: Mode::Autonomous,
        cause: None,
        needs_baseline: false,
        sick,
        frozen: false,
        audit_ok: true,
        behind_ms: 0,
        epoch: 1,
        open_loop: true,
        counted: false,
        now_ms: NOW_MS,
    }
}

proptest! {
    #[test]
    fn all_live_actions_together_stay_within_the_blast_radius(
        sizes in prop::collection::vec(1usize..8, 3),
        wishes in prop::collection::vec(action(), 1..30),
    ) {
        let (mesh, fleet, sick) = (mesh(&sizes), Fleet::new(), BTreeSet::new());
        let policy = GuardPolicy::default();
        let mut ledger = Ledger::default();
        for (n, wish) in wishes.into_iter().enumerate() {
            let wish = typed(wish, &sizes);
            let judged = judge(&proposal(wish.clone()), &situation(&policy, &ledger, &mesh, &fleet, &sick));
            if judged.verdict != Verdict::Deny {
                ledger.begin(&format!("act-{n}"), wish, NOW_MS);
            }
            for service in 0..3 {
                let name = format!("s{service}");
                let of = capacity::holdings(&name, &mesh, &fleet, NOW_MS);
                let (taken, all) = ledger.weight_taken(&name, &of, None);
                prop_assert!(taken <= policy.blast_radius.service * all + 1e-6, "{taken} of {all}");
            }
            let (taken, touched) = ledger.fleet_taken(&mesh, &fleet, None, NOW_MS);
            prop_assert!(touched <= 1 || taken <= policy.blast_radius.fleet + 1e-6, "{taken} of the fleet");
        }
    }
}

#[test]
fn the_strictest_check_decides_and_says_why() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (policy, ledger) = (GuardPolicy::default(), Ledger::default());
    let wish = proposal(typed((0, 1, 0, 0), &[5, 1, 1]));
    let mut now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    let asked = judge(&wish, &now);
    assert_eq!((asked.verdict, deciding(&asked)), (Verdict::Ask, "mode"), "a kind that is not listed asks");
    now.frozen = true;
    let denied = judge(&wish, &now);
    assert_eq!((denied.verdict, deciding(&denied)), (Verdict::Deny, "frozen"));
    assert_eq!(denied.checks.len(), 24);
}

#[test]
fn old_telemetry_is_none() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (policy, ledger) = (GuardPolicy::default(), Ledger::default());
    let mut now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    now.now_ms += 5_001;
    let judged = judge(&proposal(typed((0, 1, 0, 0), &[5, 1, 1])), &now);
    assert_eq!((judged.verdict, deciding(&judged)), (Verdict::Deny, "telemetry_fresh"));
}

/// A guard that would allow everything, so that one answer at a time can be looked at.
fn permissive() -> GuardPolicy {
    let shipped = crate::policies::Policies::shipped().unwrap().guard;
    GuardPolicy { kinds: shipped.kinds, ..GuardPolicy::default() }
}

fn answer(wish: &Proposal, now: &Situation<'_>, name: &str) -> (Verdict, String) {
    let judged = judge(wish, now);
    let check = judged.checks.into_iter().find(|c| c.name == name).unwrap();
    (check.verdict, check.why)
}

#[test]
fn each_kind_has_its_mode_and_its_threshold() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (mut policy, ledger) = (permissive(), Ledger::default());
    let mut wish = proposal(typed((0, 1, 0, 0), &[5, 1, 1]));
    for (mode, expected) in [
        (crate::policies::KindMode::Auto, Verdict::Allow),
        (crate::policies::KindMode::Advise, Verdict::Ask),
        (crate::policies::KindMode::Earn, Verdict::Allow),
        (crate::policies::KindMode::Observe, Verdict::Deny),
    ] {
        policy.kinds.get_mut("eject_endpoint").unwrap().mode = mode;
        let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
        assert_eq!(answer(&wish, &now, "mode").0, expected);
        let earns = mode == crate::policies::KindMode::Earn;
        assert_eq!(answer(&wish, &now, "earned").0 == Verdict::Ask, earns, "nothing is earned yet");
    }
    wish.confidence = 0.74;
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    assert_eq!(answer(&wish, &now, "confidence").0, Verdict::Ask);
}

#[test]
fn what_a_person_has_done_is_not_done_differently() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (policy, mut ledger) = (permissive(), Ledger::default());
    let weights = typed((0, 1, 2, 3), &[5, 1, 1]);
    ledger.begin("act-1", weights.clone(), NOW_MS);
    ledger.of_person("act-1", "ada");
    let mut same = proposal(weights);
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    let (verdict, why) = answer(&same, &now, "conflict");
    assert!(verdict == Verdict::Deny && why.contains("ada"), "{why}");
    same.asked_by = Some("ada".into());
    assert_eq!(answer(&same, &now, "conflict").0, Verdict::Allow, "her own decision is hers to change");
    let elsewhere = proposal(typed((0, 2, 0, 0), &[5, 1, 1]));
    assert_eq!(answer(&elsewhere, &now, "conflict").0, Verdict::Allow);
    ledger.end("act-1", false, NOW_MS);
    same.asked_by = None;
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    assert_eq!(answer(&same, &now, "conflict").0, Verdict::Allow);
}

#[test]
fn a_freeze_window_binds_the_brain_and_where_it_denies_everybody() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (mut policy, ledger) = (permissive(), Ledger::default());
    let mut wish = proposal(typed((0, 1, 0, 0), &[5, 1, 1]));
    let mut of = |then: Option<&str>, person: bool| {
        let window = |then| serde_json::from_value(serde_json::json!({ "name": "w", "then": then })).unwrap();
        policy.freeze_windows = then.map(window).into_iter().collect();
        wish.asked_by = person.then(|| "ada".to_owned());
        answer(&wish, &situation(&policy, &ledger, &mesh, &fleet, &sick), "freeze_window").0
    };
    assert_eq!((of(None, false), of(Some("ask"), false)), (Verdict::Allow, Verdict::Ask));
    assert_eq!((of(Some("ask"), true), of(Some("deny"), true)), (Verdict::Allow, Verdict::Deny));
}

#[test]
fn who_wants_much_needs_a_second_person() {
    let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
    let (policy, ledger) = (permissive(), Ledger::default());
    let mut wish = proposal(typed((0, 1, 0, 0), &[5, 1, 1]));
    wish.radius.capacity = 0.35;
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    assert_eq!(answer(&wish, &now, "four_eyes").0, Verdict::Allow, "the brain is bound by the blast radius");
    wish.asked_by = Some("ada".into());
    wish.approvals = vec!["ada".into()];
    assert_eq!(answer(&wish, &now, "four_eyes").0, Verdict::Ask);
    wish.approvals.push("bob".into());
    assert_eq!(answer(&wish, &now, "four_eyes").0, Verdict::Allow);
    wish.radius.capacity = 0.2;
    wish.approvals.clear();
    assert_eq!(answer(&wish, &now, "four_eyes").0, Verdict::Allow);
    assert_eq!((approvals_needed(0.3, &policy), approvals_needed(0.31, &policy)), (1, 2));
}

fn block(cidrs: Vec<ipnet::IpNet>) -> ProposedAction {
    ProposedAction { service: "s0".into(), kind: ActionKind::BlockIps { cidrs }, lease_ms: 15_000 }
}

#[test]
fn refusing_may_not_take_what_is_usually_served() {
    let (fleet, sick) = (Fleet::new(), BTreeSet::new());
    let (policy, ledger) = (permissive(), Ledger::default());
    let mut mesh = mesh(&[5, 1, 1]);
    let ip = "203.0.113.7".parse().unwrap();
    for second in 0..8 {
        let window: Window = serde_json::from_value(serde_json::json!({
            "proxy": "edge", "boot": "b", "seq": second, "start_ms": NOW_MS - 9_000 + second * 1_000,
            "duration_ms": 1000,
            "cells": [{ "service": "s0", "endpoint": "10.0.0.0:80", "caller": "internet", "requests": 100,
                "status": { "2xx": 100 }, "latency": { "gamma": 1.02, "unit": "us", "buckets": [[400, 100]] } }],
            "clients": [{ "ip": ip, "requests": 60 }], "clients_other": { "requests": 40, "distinct": 9 }
        }))
        .unwrap();
        mesh.observe(&window, NOW_MS, &DetectionPolicy::default());
    }
    let ip: std::net::IpAddr = ip;
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    let (verdict, why) = answer(&proposal(block(vec![ip.into()])), &now, "blast_radius_requests");
    assert!(verdict == Verdict::Deny && why.starts_with("60 %"), "nothing is known of an attack: {why}");
    // Of 100 requests a second 40 are usual: without this client all that is usual is left.
    mesh.edges.values_mut().for_each(|edge| edge.usual_total = 40.0);
    let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
    let (verdict, why) = answer(&proposal(block(vec![ip.into()])), &now, "blast_radius_requests");
    assert!(verdict == Verdict::Allow && why.starts_with("0 %"), "{why}");
}

proptest! {
    #[test]
    fn blocks_stay_within_what_every_proxy_takes(
        wishes in prop::collection::vec(prop::collection::vec((any::<u32>(), 20u8..33), 1..40), 1..60),
    ) {
        let (mesh, fleet, sick) = (mesh(&[5, 1, 1]), Fleet::new(), BTreeSet::new());
        let (policy, mut ledger) = (permissive(), Ledger::default());
        for (n, wish) in wishes.into_iter().enumerate() {
            let net = |(bits, len): (u32, u8)| {
                ipnet::IpNet::new(std::net::Ipv4Addr::from(bits).into(), len).unwrap().trunc()
            };
            let wish = block(wish.into_iter().map(net).collect());
            let now = situation(&policy, &ledger, &mesh, &fleet, &sick);
            if answer(&proposal(wish.clone()), &now, "floor").0 == Verdict::Allow {
                ledger.begin(&format!("act-{n}"), wish, NOW_MS);
            }
            let live = ledger.blocked();
            let addresses: u64 = ipnet::IpNet::aggregate(&live).iter().map(|n| 1u64 << (32 - n.prefix_len())).sum();
            prop_assert!(live.len() <= 1_024 && addresses <= 16_384 && live.iter().all(|n| n.prefix_len() >= 24));
        }
    }
}
