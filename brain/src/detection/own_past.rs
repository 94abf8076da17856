//! A whole service against its own past: multi-window beta-binomial deviance with learned
//! overdispersion, and gross failures, which need no past.

use crate::policies::Floor;
use crate::state::{Rate, Tally, share};

/// The windows looked at, seconds.
pub(super) const WINDOWS_S: [i64; 3] = [2, 10, 60];

/// What one window shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finding {
    pub(super) window_s: i64,
    pub(super) observed: f64,
    pub(super) baseline: f64,
    pub(super) n: u64,
    pub(super) log_e: f64,
}

/// The strongest window that passes the floor, however little its evidence.
pub(super) fn strongest(sums: &[(i64, u64, u64)], rate: &Rate, floor: &Floor) -> Option<Finding> {
    let findings = sums.iter().filter_map(|(window_s, part, n)| {
        let observed = share(*part, *n);
        let enough = *part >= floor.min_count && observed - rate.share() >= floor.min_excess;
        let log_e = deviance(*part, *n, rate) - (sums.len() as f64).ln();
        let finding = Finding { window_s: *window_s, observed, baseline: rate.share(), n: *n, log_e };
        (enough && log_e > 0.0).then_some(finding)
    });
    findings.max_by(|a, b| a.log_e.total_cmp(&b.log_e))
}

/// Half the deviance of `part` of `n` against the learned share, shrunk by the overdispersion, less
/// what fitting the alternative costs.
fn deviance(part: u64, n: u64, rate: &Rate) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let (x, p) = (share(part, n), rate.share().min(0.999));
    if x <= p {
        return 0.0;
    }
    let term = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    let divergence = term(x, p) + term(1.0 - x, 1.0 - p);
    n as f64 * divergence / rate.overdispersion(n) - 0.5 * (n as f64).ln_1p()
}

/// Whether most requests fail, in this second and in the one before.
pub(super) fn gross(last: Tally, before: Tally, least_share: f64, least_requests: u64) -> Option<Finding> {
    let mut both = last;
    both.add(before);
    let bad = |t: Tally, needed: f64| t.n > 0 && share(t.failed, t.n) >= needed;
    let found =
        both.n >= least_requests && bad(both, least_share) && bad(last, least_share) && bad(before, 0.1);
    found.then(|| Finding {
        window_s: 2,
        observed: share(both.failed, both.n),
        baseline: 0.0,
        n: both.n,
        log_e: (both.failed as f64 * 2.0).min(100.0),
    })
}
