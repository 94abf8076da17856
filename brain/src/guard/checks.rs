//! The guard's questions, one small pure function each. None knows of another.

use super::capacity::{holdings, proxies_of};
use super::ledger::target;
use super::refusals::{below_the_floor, usual_requests_lost};
use super::{Situation, approvals_needed};
use crate::domain::{CauseKind, Check, Mode, Proposal, Verdict};
use crate::policies::{During, KindMode};

/// Every question, in the order in which it is asked.
pub(super) const ALL: [fn(&Proposal, &Situation<'_>) -> Check; 22] = [
    frozen,
    audit,
    epoch,
    reach,
    telemetry_fresh,
    telemetry_consistent,
    person,
    conflict,
    cooldown,
    floor,
    blast_radius_service,
    blast_radius_fleet,
    blast_radius_requests,
    healthy_capacity,
    freeze_window,
    reversals,
    budget,
    learned,
    mode,
    earned,
    confidence,
    four_eyes,
];

fn check(name: &str, bad: bool, otherwise: Verdict, why: String) -> Check {
    let verdict = if bad { otherwise } else { Verdict::Allow };
    Check { name: name.to_owned(), verdict, why }
}

fn frozen(_: &Proposal, now: &Situation<'_>) -> Check {
    let why = if now.frozen { "a person has frozen all actions" } else { "not frozen" };
    check("frozen", now.frozen, Verdict::Deny, why.to_owned())
}

fn audit(_: &Proposal, now: &Situation<'_>) -> Check {
    let why = if now.audit_ok { "the audit log can be written" } else { "the audit log cannot be written" };
    check("audit_ok", !now.audit_ok, Verdict::Deny, why.to_owned())
}

fn epoch(_: &Proposal, now: &Situation<'_>) -> Check {
    let highest = now.fleet.values().map(|p| p.epoch.0).max().unwrap_or(0);
    let why = format!("this brain's epoch is {}, the highest a proxy has seen {highest}", now.epoch);
    check("epoch", !now.open_loop && highest > now.epoch, Verdict::Deny, why)
}

fn reach(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let proxies = proxies_of(now.fleet, &proposal.action.service).len();
    let why = format!("{proxies} proxies that can be asked serve {}", proposal.action.service);
    check("reach", !now.open_loop && proxies == 0, Verdict::Deny, why)
}

fn telemetry_fresh(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let age = now.mesh.telemetry_age_ms(&proposal.action.service, now.now_ms);
    let most = now.policy.max_telemetry_age_ms;
    let why = match age {
        Some(age) => format!("newest telemetry is {age} ms old, at most {most} ms count"),
        None => "no telemetry of this service".to_owned(),
    };
    check("telemetry_fresh", age.is_none_or(|age| age > most), Verdict::Deny, why)
}

fn telemetry_consistent(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let service = now.mesh.services.get(&proposal.action.service);
    let doubted = service.is_some_and(|s| s.doubted_until_ms > now.now_ms);
    let unknown = now.cause.is_some_and(|cause| cause.kind == CauseKind::Unknown);
    let why = if doubted {
        "some of its telemetry contradicted itself in the last seconds"
    } else if unknown {
        "the evidence does not agree on a cause"
    } else {
        "the evidence agrees"
    };
    check("telemetry_consistent", doubted || unknown, Verdict::Ask, why.to_owned())
}

fn person(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let until = now.ledger.refused_until(&target(&proposal.action), now.now_ms);
    let left_s = until.map_or(0, |until| (until - now.now_ms) / 1_000);
    let why = match until {
        Some(_) => format!("a person decided against it; that stands for {left_s} s"),
        None => "no person decided against it".to_owned(),
    };
    check("person", until.is_some(), Verdict::Deny, why)
}

fn conflict(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let person = now.ledger.contradicts(&proposal.action).filter(|_| !proposal.is_by_person());
    let why = match person {
        Some(person) => format!("an action that {person} asked for is live on this target"),
        None => "no action that a person asked for is in the way".to_owned(),
    };
    check("conflict", person.is_some(), Verdict::Deny, why)
}

fn floor(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let below = below_the_floor(&proposal.action, now.ledger);
    let why = below.clone().unwrap_or_else(|| "within what every proxy takes".to_owned());
    check("floor", below.is_some(), Verdict::Deny, why)
}

fn cooldown(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let rests = now.ledger.rests_until(&target(&proposal.action), now.policy).unwrap_or(i64::MIN);
    let held = now.ledger.holds(&proposal.action);
    let why = if held {
        "something is already being done about this target".to_owned()
    } else if rests > now.now_ms {
        format!("the target rests for {} s more", (rests - now.now_ms + 999) / 1_000)
    } else {
        "the target has rested".to_owned()
    };
    check("cooldown", held || (now.counted && rests > now.now_ms), Verdict::Deny, why)
}

fn blast_radius_service(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let service = &proposal.action.service;
    let of = holdings(service, now.mesh, now.fleet, now.now_ms);
    let (taken, all) = now.ledger.weight_taken(service, &of, Some(&proposal.action));
    let share = if all > 0.0 { taken / all } else { 0.0 };
    let most = now.policy.blast_radius.service;
    let why =
        format!("{:.0} % of {service} would be out, at most {:.0} % may be", share * 100.0, most * 100.0);
    check("blast_radius", share > most + 1e-9, Verdict::Deny, why)
}

/// Binds what several services lose together; what one may lose is its own bound.
fn blast_radius_fleet(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let extra = Some(&proposal.action);
    let (share, touched) = now.ledger.fleet_taken(now.mesh, now.fleet, extra, now.now_ms);
    let most = now.policy.blast_radius.fleet;
    let why = format!(
        "{:.0} % of the fleet would be out in {touched} services, at most {:.0} % may be in several",
        share * 100.0,
        most * 100.0
    );
    check("blast_radius_fleet", touched > 1 && share > most + 1e-9, Verdict::Deny, why)
}

fn blast_radius_requests(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let lost = usual_requests_lost(&proposal.action, now);
    let most = now.policy.blast_radius.requests;
    let why = match lost {
        Some(lost) => format!(
            "{:.0} % of the usual requests would be refused, at most {:.0} % may be",
            lost * 100.0,
            most * 100.0
        ),
        None => "no request is refused".to_owned(),
    };
    check("blast_radius_requests", lost.is_some_and(|lost| lost > most + 1e-9), Verdict::Deny, why)
}

/// What binds the brain alone at certain times; `deny` binds people too.
fn freeze_window(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let kind = proposal.action.kind.name();
    let mut windows = now.policy.freeze_windows.iter().filter(|w| w.covers(kind, now.now_ms));
    let strictest = windows.clone().find(|w| w.then == During::Deny).or_else(|| windows.next());
    let (verdict, why) = match strictest {
        None => (Verdict::Allow, "no freeze window".to_owned()),
        Some(window) if window.then == During::Deny => {
            (Verdict::Deny, format!("freeze window {:?}: nothing is done", window.name))
        }
        Some(window) if proposal.is_by_person() => {
            (Verdict::Allow, format!("freeze window {:?}: a person asks", window.name))
        }
        Some(window) => (Verdict::Ask, format!("freeze window {:?}: a person must agree", window.name)),
    };
    Check { name: "freeze_window".to_owned(), verdict, why }
}

fn healthy_capacity(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let service = &proposal.action.service;
    let of = holdings(service, now.mesh, now.fleet, now.now_ms);
    let taken = now.ledger.taken_of(service, &of, Some(&proposal.action));
    let all: f64 = of.places.values().map(|p| p.weight).sum();
    let well = |id: &String| !now.sick.contains(&(service.clone(), id.clone()));
    let left = of.places.iter().filter(|(id, place)| place.serving && well(id));
    let left: f64 = left.map(|(id, p)| p.weight * (1.0 - taken.get(id).copied().unwrap_or(0.0))).sum();
    let share = if all > 0.0 { left / all } else { 0.0 };
    let least = now.policy.min_healthy_capacity;
    let why =
        format!("{:.0} % of {service} would be left and well, {:.0} % must be", share * 100.0, least * 100.0);
    let concerned = !taken.is_empty();
    check("healthy_capacity", concerned && share < least - 1e-9, Verdict::Deny, why)
}

fn reversals(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let count = now.ledger.reversals(&target(&proposal.action), now.now_ms);
    let most = now.policy.reversals_per_hour;
    let why = format!("{count} reversals on this target in the last hour, at {most} a person decides");
    check("reversals", now.counted && count >= most, Verdict::Ask, why)
}

fn budget(_: &Proposal, now: &Situation<'_>) -> Check {
    let count = now.ledger.started_lately(now.now_ms);
    let most = now.policy.actions_per_hour;
    check(
        "budget",
        now.counted && count >= most,
        Verdict::Ask,
        format!("{count} actions in the last hour, at {most} a person decides"),
    )
}

fn learned(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let learned_s = now.mesh.services.get(&proposal.action.service).map_or(0, |s| s.baseline.learned_s());
    let needed_s = now.policy.learning_s;
    let needs = now.needs_baseline && learned_s < needed_s;
    let why = if now.needs_baseline {
        format!("{learned_s} s of quiet traffic learned, {needed_s} s are needed")
    } else {
        "the evidence needs no baseline".to_owned()
    };
    check("learned", needs, Verdict::Ask, why)
}

fn mode(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let kind = proposal.action.kind.name();
    let mode = now.ledger.effective_mode(kind, now.mode, now.policy, now.now_ms);
    let (verdict, why) = match mode {
        Mode::Observe => (Verdict::Deny, format!("observe mode: {kind} is only told")),
        Mode::Advisory => (Verdict::Ask, format!("advisory mode: {kind} needs a person")),
        Mode::Autonomous => (Verdict::Allow, format!("{kind} may be done without asking")),
    };
    Check { name: "mode".to_owned(), verdict, why }
}

fn earned(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let kind = proposal.action.kind.name();
    let earns = now.policy.kind(kind).mode == KindMode::Earn && !proposal.is_by_person();
    let (record, needed) = (now.learned.earned(kind, &now.policy.autonomy), &now.policy.autonomy);
    let why = if earns {
        format!(
            "{} effects since harm, {} are needed; it helps at least {:.2}, {:.2} is needed",
            record.trials, needed.min_trials, record.lower_bound, needed.promote_at
        )
    } else {
        format!("{kind} need not earn it")
    };
    check("earned", earns && !record.enough, Verdict::Ask, why)
}

fn confidence(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let needed = now.policy.kind(proposal.action.kind.name()).threshold;
    let why = format!("confidence {:.2}, {needed:.2} is needed to act alone", proposal.confidence);
    check("confidence", proposal.confidence < needed, Verdict::Ask, why)
}

/// Who wants much needs somebody else who wants it too.
fn four_eyes(proposal: &Proposal, now: &Situation<'_>) -> Check {
    let most = now.policy.four_eyes_above;
    let share = proposal.radius.capacity;
    let needed = approvals_needed(share, now.policy);
    let alone = proposal.is_by_person() && needed > proposal.approvals.len();
    let why = format!(
        "{:.0} % of {} is touched; above {:.0} % two people must agree where one is asked",
        share * 100.0,
        proposal.action.service,
        most * 100.0
    );
    check("four_eyes", alone && needed > 1, Verdict::Ask, why)
}
