//! The effect of a remedy: the bad share after it against the share without it, with an interval.

use super::{Meter, Part, bad};
use crate::domain::{Effect, EffectKind, Signal};
use crate::state::{Tally, share};

/// Of the badness that should go, this share must have gone.
const ENOUGH_GONE: f64 = 0.5;
/// Without the action, this part of the badness must be there still, or it was not the action that helped.
const STILL_THERE: f64 = 0.25;
/// Worse by at least this share is harm, if chance does not explain it.
const HARM: f64 = 0.05;
/// Standard deviations that chance does not explain.
const SURE_SD: f64 = 4.0;
/// Of the 95 % interval.
const INTERVAL_SD: f64 = 1.96;
/// From so many requests on the untreated proxies speak for what would have been.
const CONTROL_REQUESTS: u64 = 30;
/// … if so many of them were to be bad as before.
const CONTROL_BAD: f64 = 5.0;
/// Worse than expected by less than this, nothing is to be mended.
const WELL: f64 = 0.02;
/// Refusing requests must leave at least this much of what was served well before.
const GOODPUT_KEPT: f64 = 0.7;

/// What the effect is held against.
#[derive(Debug, Clone)]
pub struct Yardstick {
    /// What bad means.
    pub signal: Signal,
    /// Bad share before.
    pub before: f64,
    /// Over so many requests.
    pub before_n: u64,
    /// Bad share expected after.
    pub expected: f64,
    /// Requests a second that were served well before; 0: not known.
    pub goodput_rps: f64,
    /// Requests a second of the clients in question; 0: it is not about clients.
    pub clients_rps: f64,
    /// Requests a second that as many usual clients ask.
    pub usual_clients_rps: f64,
}

/// What the remedy on `part` did, as `meter` counted. Where some proxies are not treated, they and not
/// the past say what would have been without it.
#[must_use]
pub fn effect(yard: &Yardstick, part: &Part, meter: &Meter) -> Effect {
    let control = meter.control();
    // So many that what is bad without the action must show among them.
    let telling = control.n as f64 * yard.before >= CONTROL_BAD;
    let has_control = control.n >= CONTROL_REQUESTS && telling;
    let (without, without_n) = match has_control {
        true => (share(bad(control, yard.signal), control.n), control.n),
        false => (yard.before, yard.before_n),
    };
    let of_shares = of_shares(yard, without, without_n, meter.all(), has_control);
    match part {
        Part::Clients(_) => of_clients(yard, of_shares, meter),
        Part::Whole => of_goodput(yard, of_shares, meter),
        Part::Endpoint(_) | Part::Version(_) => of_shares,
    }
}

fn of_shares(yard: &Yardstick, without: f64, without_n: u64, after: Tally, has_control: bool) -> Effect {
    let count = bad(after, yard.signal);
    let now = share(count, after.n);
    let chance = deviation(without, after.n);
    // Well at the others too: it went away by itself.
    let was_bad = yard.before - yard.expected;
    let by_itself = has_control && without - yard.expected < STILL_THERE * was_bad;
    let kind = if after.n == 0 {
        EffectKind::Unknown
    } else if now > without + HARM && now - without > SURE_SD * chance {
        EffectKind::Harmed
    } else if !by_itself && without - now >= ENOUGH_GONE * (without - yard.expected).max(0.0) && now < without
    {
        EffectKind::Helped
    } else {
        EffectKind::Unchanged
    };
    let wide = INTERVAL_SD * (deviation(without, without_n).powi(2) + deviation(now, after.n).powi(2)).sqrt();
    let interval = [without - now - wide, without - now + wide];
    let word = if matches!(yard.signal, Signal::Latency | Signal::PeerLatency) { "slow" } else { "failed" };
    let against = if has_control { "at proxies without it" } else { "before" };
    let why = format!(
        "{:.2} % of requests {word} {against}, {:.2} % with it, over {} requests (better by {:.2} to {:.2} \
         points, 95 %); {:.2} % were expected",
        without * 100.0,
        now * 100.0,
        after.n,
        interval[0] * 100.0,
        interval[1] * 100.0,
        yard.expected * 100.0
    );
    let (before, requests) = (without, after.n);
    Effect { kind, before, after: now, requests, interval: Some(interval), why }
}

/// Clients that are refused must be served less, and what suffered from them must be well again.
fn of_clients(yard: &Yardstick, shares: Effect, meter: &Meter) -> Effect {
    let Some((served, denied)) = meter.clients_rps() else {
        return Effect { kind: EffectKind::Unknown, why: "nothing was told of clients".to_owned(), ..shares };
    };
    let kept_out = served <= yard.clients_rps * (1.0 - ENOUGH_GONE);
    let suffered = yard.before - yard.expected >= WELL;
    let kind = match shares.kind {
        EffectKind::Harmed => EffectKind::Harmed,
        _ if !kept_out => EffectKind::Unchanged,
        EffectKind::Unchanged if suffered => EffectKind::Unchanged,
        EffectKind::Unknown if suffered && denied > 0.0 => EffectKind::Unknown,
        _ => EffectKind::Helped,
    };
    let why = format!(
        "these clients were served {:.1} requests a second before and {served:.1} after, {denied:.1} were \
         refused; {}",
        yard.clients_rps, shares.why
    );
    Effect { kind, why, ..shares }
}

/// Refusing some must not cost more than it saves the others.
fn of_goodput(yard: &Yardstick, shares: Effect, meter: &Meter) -> Effect {
    let (all, seconds) = (meter.all(), meter.seconds());
    if yard.goodput_rps <= 0.0 || seconds <= 0.0 {
        return shares;
    }
    let goodput = all.n.saturating_sub(bad(all, yard.signal)) as f64 / seconds;
    let costs = goodput < GOODPUT_KEPT * yard.goodput_rps;
    let kind = if shares.kind == EffectKind::Helped && costs { EffectKind::Unchanged } else { shares.kind };
    let before = yard.goodput_rps;
    let why =
        format!("{goodput:.1} requests a second are served well, {before:.1} were before; {}", shares.why);
    Effect { kind, why, ..shares }
}

/// Of a share of `n` requests.
fn deviation(share: f64, n: u64) -> f64 {
    (share.max(0.001) * (1.0 - share.min(0.999)) / n.max(1) as f64).sqrt()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::latency::{Latency, index_of};
    use protocol::telemetry::{Cell, Client, Window};

    use super::super::Scope;
    use super::*;

    fn window(proxy: &str, start_ms: i64, n: u64, failed: u64) -> Window {
        let status = [("2xx", n - failed), ("5xx", failed)];
        let cell = Cell {
            service: "cart".into(),
            endpoint: "10.0.0.1:80".into(),
            requests: n,
            status: status.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c.to_owned(), n)).collect(),
            latency: Latency { buckets: vec![(index_of(3_000), n)], ..Latency::default() },
            ..Cell::default()
        };
        serde_json::from_value(serde_json::json!({
            "proxy": proxy, "boot": "b", "seq": start_ms, "start_ms": start_ms, "duration_ms": 1000, "cells": [cell]
        }))
        .unwrap()
    }

    fn yard(before: f64) -> Yardstick {
        Yardstick {
            signal: Signal::PeerErrors,
            before,
            before_n: 1_000,
            expected: 0.001,
            goodput_rps: 0.0,
            clients_rps: 0.0,
            usual_clients_rps: 0.0,
        }
    }

    fn meter(part: Part, treated: Option<&[&str]>, windows: &[Window]) -> Meter {
        let treated = treated.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>());
        let scope = Scope { service: "cart".into(), part, slow_index: i32::MAX, treated };
        let mut meter = Meter::new(scope, 0);
        windows.iter().for_each(|w| meter.observe(w));
        meter
    }

    #[test]
    fn the_effect_is_told_from_what_users_saw() {
        let of = |n, failed| {
            effect(&yard(0.06), &Part::Whole, &meter(Part::Whole, None, &[window("p", 0, n, failed)]))
        };
        assert_eq!(of(1_000, 1).kind, EffectKind::Helped);
        assert_eq!(of(1_000, 58).kind, EffectKind::Unchanged);
        assert_eq!(of(1_000, 300).kind, EffectKind::Harmed);
        assert_eq!(of(0, 0).kind, EffectKind::Unknown);
        let [low, high] = of(1_000, 1).interval.unwrap();
        assert!(low < 0.059 && high > 0.059 && low > 0.03, "{low} to {high}");
    }

    #[test]
    fn what_got_well_without_us_was_not_helped_by_us() {
        let part = Part::Endpoint("10.0.0.1:80".into());
        let both_well = [window("p1", 0, 500, 1), window("p2", 0, 500, 1)];
        let treated = meter(part.clone(), Some(&["p1"]), &both_well);
        assert_eq!(effect(&yard(0.06), &part, &treated).kind, EffectKind::Unchanged);
        let only_treated = [window("p1", 0, 500, 1), window("p2", 0, 500, 30)];
        let treated = meter(part.clone(), Some(&["p1"]), &only_treated);
        assert_eq!(effect(&yard(0.06), &part, &treated).kind, EffectKind::Helped);
    }

    #[test]
    fn refusing_clients_helps_when_they_are_kept_out_and_the_others_are_well() {
        let nets: Vec<ipnet::IpNet> = vec!["203.0.113.7/32".parse().unwrap()];
        let part = Part::Clients(nets);
        let yard = Yardstick { clients_rps: 100.0, before: 0.2, ..yard(0.2) };
        let of = |requests, denied, failed| {
            let mut seen = window("p", 0, 500, failed);
            let ip = "::ffff:203.0.113.7".parse().unwrap();
            let (status_4xx, status_5xx, distinct_paths) = (0, 0, 1);
            seen.clients = vec![Client { ip, requests, status_4xx, status_5xx, denied, distinct_paths }];
            effect(&yard, &part, &meter(part.clone(), None, &[seen])).kind
        };
        assert_eq!(of(100, 100, 1), EffectKind::Helped);
        assert_eq!(of(100, 0, 1), EffectKind::Unchanged, "they are still served");
        assert_eq!(of(100, 100, 100), EffectKind::Unchanged, "the others still suffer");
        let nothing_told = effect(&yard, &part, &meter(part.clone(), None, &[window("p", 0, 500, 1)]));
        assert_eq!(nothing_told.kind, EffectKind::Unknown);
    }

    #[test]
    fn shedding_that_costs_more_than_it_saves_does_not_help() {
        let yard = Yardstick { goodput_rps: 400.0, signal: Signal::Errors, ..yard(0.3) };
        let of = |n| effect(&yard, &Part::Whole, &meter(Part::Whole, None, &[window("p", 0, n, 0)])).kind;
        assert_eq!(of(390), EffectKind::Helped);
        assert_eq!(of(200), EffectKind::Unchanged);
    }

    #[test]
    fn the_time_before_the_first_window_is_none_in_which_nothing_was_served() {
        let yard = Yardstick { goodput_rps: 400.0, signal: Signal::Errors, ..yard(0.3) };
        let late = meter(Part::Whole, None, &[window("p", 900, 390, 0)]);
        assert_eq!(effect(&yard, &Part::Whole, &late).kind, EffectKind::Helped);
    }
}
