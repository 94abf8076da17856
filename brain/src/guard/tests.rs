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
    Situation {
        policy,
        ledger,
        mesh,
        fleet,
        mode: Mode::Autonomous,
        cause: None,
        needs_baseline: false,
        sick,
        frozen: false,
        audit_ok: true,
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
    assert_eq!(denied.checks.len(), 16);
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
