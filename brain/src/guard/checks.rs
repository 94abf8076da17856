//! The guard's questions, one small pure function each. None knows of another, nor of
//! anything but the proposal and the facts.

use super::facts::Facts;
use crate::domain::{Check, Mode, Proposal, Verdict};

/// Every question, in the order in which it is asked.
pub(super) const ALL: [fn(&Proposal, &Facts) -> Check; 24] = [
    frozen,
    audit,
    clock,
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
    advised,
    confidence,
    four_eyes,
];

fn check(name: &str, bad: bool, otherwise: Verdict, why: String) -> Check {
    let verdict = if bad { otherwise } else { Verdict::Allow };
    Check { name: name.to_owned(), verdict, why }
}

fn percent(share: f64) -> f64 {
    share * 100.0
}

fn frozen(_: &Proposal, now: &Facts) -> Check {
    let why = if now.frozen { "a person has frozen all actions" } else { "not frozen" };
    check("frozen", now.frozen, Verdict::Deny, why.to_owned())
}

fn audit(_: &Proposal, now: &Facts) -> Check {
    let why = if now.audit_ok { "the audit log can be written" } else { "the audit log cannot be written" };
    check("audit_ok", !now.audit_ok, Verdict::Deny, why.to_owned())
}

fn clock(_: &Proposal, now: &Facts) -> Check {
    let why = match now.behind_ms {
        0 => "the clock goes forward".to_owned(),
        behind => format!("this machine's clock went back: {} s until it has caught up", behind / 1_000),
    };
    check("clock", now.behind_ms > 0, Verdict::Deny, why)
}

fn epoch(_: &Proposal, now: &Facts) -> Check {
    let highest = now.epoch_seen;
    let why = format!("this brain's epoch is {}, the highest a proxy has seen {highest}", now.epoch);
    check("epoch", !now.open_loop && highest > now.epoch, Verdict::Deny, why)
}

fn reach(proposal: &Proposal, now: &Facts) -> Check {
    let why = format!("{} proxies that can be asked serve {}", now.proxies, proposal.action.service);
    check("reach", !now.open_loop && now.proxies == 0, Verdict::Deny, why)
}

fn telemetry_fresh(_: &Proposal, now: &Facts) -> Check {
    let (age, most) = (now.telemetry_age_ms, now.telemetry_max_age_ms);
    let why = match age {
        Some(age) => format!("newest telemetry is {age} ms old, at most {most} ms count"),
        None => "no telemetry of this service".to_owned(),
    };
    check("telemetry_fresh", age.is_none_or(|age| age > most), Verdict::Deny, why)
}

fn telemetry_consistent(_: &Proposal, now: &Facts) -> Check {
    let why = if now.doubted {
        "some of its telemetry contradicted itself in the last seconds"
    } else if now.cause_unknown {
        "the evidence does not agree on a cause"
    } else {
        "the evidence agrees"
    };
    check("telemetry_consistent", now.doubted || now.cause_unknown, Verdict::Ask, why.to_owned())
}

fn person(_: &Proposal, now: &Facts) -> Check {
    let why = match now.refused_for_s {
        Some(left_s) => format!("a person decided against it; that stands for {left_s} s"),
        None => "no person decided against it".to_owned(),
    };
    check("person", now.refused_for_s.is_some(), Verdict::Deny, why)
}

fn conflict(proposal: &Proposal, now: &Facts) -> Check {
    let person = now.contradicts.as_ref().filter(|_| !proposal.is_by_person());
    let why = match person {
        Some(person) => format!("an action that {person} asked for is live on this target"),
        None => "no action that a person asked for is in the way".to_owned(),
    };
    check("conflict", person.is_some(), Verdict::Deny, why)
}

fn floor(_: &Proposal, now: &Facts) -> Check {
    let why = now.below_floor.clone().unwrap_or_else(|| "within what every proxy takes".to_owned());
    check("floor", now.below_floor.is_some(), Verdict::Deny, why)
}

fn cooldown(_: &Proposal, now: &Facts) -> Check {
    let why = if now.held {
        "something is already being done about this target".to_owned()
    } else if now.rests_ms > 0 {
        format!("the target rests for {} s more", (now.rests_ms + 999) / 1_000)
    } else {
        "the target has rested".to_owned()
    };
    check("cooldown", now.held || (now.counted && now.rests_ms > 0), Verdict::Deny, why)
}

fn blast_radius_service(proposal: &Proposal, now: &Facts) -> Check {
    let (share, most) = (now.service_out.found, now.service_out.bound);
    let service = &proposal.action.service;
    let why =
        format!("{:.0} % of {service} would be out, at most {:.0} % may be", percent(share), percent(most));
    check("blast_radius", share > most + 1e-9, Verdict::Deny, why)
}

/// Binds what several services lose together; what one may lose is its own bound.
fn blast_radius_fleet(_: &Proposal, now: &Facts) -> Check {
    let (share, most, touched) = (now.fleet_out.found, now.fleet_out.bound, now.services_touched);
    let why = format!(
        "{:.0} % of the fleet would be out in {touched} services, at most {:.0} % may be in several",
        percent(share),
        percent(most)
    );
    check("blast_radius_fleet", touched > 1 && share > most + 1e-9, Verdict::Deny, why)
}

fn blast_radius_requests(_: &Proposal, now: &Facts) -> Check {
    let (lost, most) = (now.requests_lost, now.requests_bound);
    let why = match lost {
        Some(lost) => format!(
            "{:.0} % of the usual requests would be refused, at most {:.0} % may be",
            percent(lost),
            percent(most)
        ),
        None => "no request is refused".to_owned(),
    };
    check("blast_radius_requests", lost.is_some_and(|lost| lost > most + 1e-9), Verdict::Deny, why)
}

/// What binds the brain alone at certain times; `deny` binds people too.
fn freeze_window(proposal: &Proposal, now: &Facts) -> Check {
    let windows = &now.freeze_windows;
    let (verdict, why) = match windows.iter().find(|w| w.denies).or_else(|| windows.first()) {
        None => (Verdict::Allow, "no freeze window".to_owned()),
        Some(window) if window.denies => {
            (Verdict::Deny, format!("freeze window {:?}: nothing is done", window.name))
        }
        Some(window) if proposal.is_by_person() => {
            (Verdict::Allow, format!("freeze window {:?}: a person asks", window.name))
        }
        Some(window) => (Verdict::Ask, format!("freeze window {:?}: a person must agree", window.name)),
    };
    Check { name: "freeze_window".to_owned(), verdict, why }
}

fn healthy_capacity(proposal: &Proposal, now: &Facts) -> Check {
    let (share, least) = (now.well.found, now.well.bound);
    let service = &proposal.action.service;
    let why = format!(
        "{:.0} % of {service} would be left and well, {:.0} % must be",
        percent(share),
        percent(least)
    );
    check("healthy_capacity", now.takes && share < least - 1e-9, Verdict::Deny, why)
}

fn reversals(_: &Proposal, now: &Facts) -> Check {
    let (count, most) = (now.reversals.found, now.reversals.bound);
    let why = format!("{count} reversals on this target in the last hour, at {most} a person decides");
    check("reversals", now.counted && count >= most, Verdict::Ask, why)
}

fn budget(_: &Proposal, now: &Facts) -> Check {
    let (count, most) = (now.budget.found, now.budget.bound);
    let why = format!("{count} actions in the last hour, at {most} a person decides");
    check("budget", now.counted && count >= most, Verdict::Ask, why)
}

fn learned(_: &Proposal, now: &Facts) -> Check {
    let (learned_s, needed_s) = (now.learned_s.found, now.learned_s.bound);
    let why = if now.needs_baseline {
        format!("{learned_s} s of quiet traffic learned, {needed_s} s are needed")
    } else {
        "the evidence needs no baseline".to_owned()
    };
    check("learned", now.needs_baseline && learned_s < needed_s, Verdict::Ask, why)
}

fn mode(proposal: &Proposal, now: &Facts) -> Check {
    let kind = proposal.action.kind.name();
    let (verdict, why) = match now.mode {
        Mode::Observe => (Verdict::Deny, format!("observe mode: {kind} is only told")),
        Mode::Advisory => (Verdict::Ask, format!("advisory mode: {kind} needs a person")),
        Mode::Autonomous => (Verdict::Allow, format!("{kind} may be done without asking")),
    };
    Check { name: "mode".to_owned(), verdict, why }
}

fn earned(proposal: &Proposal, now: &Facts) -> Check {
    let (kind, record) = (proposal.action.kind.name(), &now.earned);
    let why = if record.needed {
        format!(
            "{} effects since harm, {} are needed; it helps at least {:.2}, {:.2} is needed",
            record.trials.found, record.trials.bound, record.lower_bound.found, record.lower_bound.bound
        )
    } else {
        format!("{kind} need not earn it")
    };
    check("earned", record.needed && !record.enough, Verdict::Ask, why)
}

fn advised(proposal: &Proposal, _: &Facts) -> Check {
    let why = if proposal.is_by_advisor() {
        "only a language model speaks for it"
    } else if proposal.is_by_model() {
        "only what was learned speaks for it, no rule"
    } else {
        "no language model had a part in it"
    };
    check("advised", proposal.is_by_advisor() || proposal.is_by_model(), Verdict::Ask, why.to_owned())
}

fn confidence(proposal: &Proposal, now: &Facts) -> Check {
    let needed = now.threshold;
    let why = format!("confidence {:.2}, {needed:.2} is needed to act alone", proposal.confidence);
    check("confidence", proposal.confidence < needed, Verdict::Ask, why)
}

/// Who wants much needs somebody else who wants it too.
fn four_eyes(proposal: &Proposal, now: &Facts) -> Check {
    let (most, needed) = (now.four_eyes_above, now.people_needed);
    let alone = proposal.is_by_person() && needed > proposal.approvals.len();
    let why = format!(
        "{:.0} % of {} is touched; above {:.0} % two people must agree where one is asked",
        percent(proposal.radius.capacity),
        proposal.action.service,
        percent(most)
    );
    check("four_eyes", alone && needed > 1, Verdict::Ask, why)
}
