//! Every verdict of a run, taken again from its record.

use super::*;
use crate::audit::{FIRST_PREV_HASH, Record};
use crate::explain::explain;

fn verdicts() -> Vec<Record> {
    let mut specs = shop(200.0);
    specs[1].proxies = 3;
    let mut world = World::new(specs, 5, Mode::Autonomous);
    world.mesh.faults.push(fault("cart", Some(2), 20.0, 0.4));
    world.mesh.faults.push(fault("cart", Some(3), 40.0, 0.4));
    world.mesh.faults.push(fault("cart", Some(4), 50.0, 0.4));
    world.mesh.faults.push(fault("catalog", None, 45.0, 0.6));
    world.run(100);
    let me = Actor { kind: ActorKind::Brain, id: "brain".into() };
    let of = |(at_ms, event): &(i64, Event)| Record::of(1, *at_ms, &me, event, FIRST_PREV_HASH).unwrap();
    world.said.iter().filter(|(_, e)| matches!(e, Event::Verdict { .. })).map(of).collect()
}

#[test]
fn every_decision_comes_out_the_same_from_its_record() {
    let verdicts = verdicts();
    assert!(verdicts.len() > 3, "{}", verdicts.len());
    let mut seen: Vec<Verdict> = Vec::new();
    for record in &verdicts {
        let explained = explain(record).unwrap();
        assert!(explained.same, "{:?}", explained.differences);
        assert_eq!(explained.again, Some(explained.verdict));
        seen.push(explained.verdict);
    }
    assert!(seen.contains(&Verdict::Allow) && seen.iter().any(|v| *v != Verdict::Allow), "{seen:?}");
}

#[test]
fn a_record_that_claims_another_verdict_is_told_apart() {
    let record = verdicts().into_iter().find(|r| explain(r).unwrap().verdict == Verdict::Allow).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut record = record.clone();
        *record.data.pointer_mut(pointer).unwrap() = value;
        explain(&record).unwrap().differences
    };
    assert!(changed("/judgement/facts/frozen", true.into())[0].contains("frozen"));
    assert!(!changed("/judgement/facts/service_out/found", 0.9.into()).is_empty());
    assert!(!changed("/judgement/verdict", "ask".into()).is_empty());
    assert!(changed("/proposal/action/lease_ms", 9_999.into())[0].contains("digest"));
}
