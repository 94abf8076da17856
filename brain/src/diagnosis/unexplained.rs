//! What no single number shows has no name but the service's, and is never more than a suspicion: nothing is done
//! about it by rule, and people are told what leads.

use std::collections::BTreeSet;

use super::{DISPUTED, Diagnosis, cause};
use crate::detection::Anomaly;
use crate::domain::{CauseKind, Evidence};

/// A diagnosis for each service that left its pattern and that nothing else is said of.
pub(super) fn diagnose(departures: &[Anomaly], named: &BTreeSet<String>) -> Vec<Diagnosis> {
    departures.iter().filter(|a| !named.contains(&a.service)).map(of).collect()
}

fn of(departure: &Anomaly) -> Diagnosis {
    let evidence = departure.evidence.clone();
    Diagnosis {
        cause: cause(CauseKind::Unknown, &departure.service, None),
        symptom: departure.service.clone(),
        confidence: DISPUTED,
        onset_ms: evidence.since_ms,
        evidence: vec![evidence],
        alternatives: vec!["a new normal: after a quarter of an hour it is taken for one".to_owned()],
        drilled: false,
    }
}

/// One sentence of it.
pub(super) fn summary(evidence: &Evidence) -> String {
    format!(
        "{} no longer as the other vital signs of the service would have it: {} where {} is usual, for {} s",
        evidence.series,
        number(evidence.observed),
        number(evidence.baseline),
        evidence.window_s
    )
}

fn number(value: f64) -> String {
    if value < 1.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Of;
    use crate::domain::Signal;

    fn departure() -> Anomaly {
        let evidence = Evidence {
            signal: Signal::Vitals,
            series: "cart: attempts made again".to_owned(),
            observed: 0.1,
            baseline: 0.002,
            requests: 2_000,
            window_s: 30,
            since_ms: 7,
            log_e: 40.0,
        };
        Anomaly { service: "cart".to_owned(), of: Of::Whole, gross: false, evidence }
    }

    #[test]
    fn a_departure_is_a_suspicion_without_a_culprit_and_none_where_something_else_is_said() {
        let found = diagnose(&[departure()], &BTreeSet::new());
        assert!(matches!(found.as_slice(), [d] if d.cause.kind == CauseKind::Unknown && d.onset_ms == 7));
        assert!(found.iter().all(|d| d.confidence <= DISPUTED && d.cause.endpoint.is_none()));
        assert_eq!(diagnose(&[departure()], &BTreeSet::from(["cart".to_owned()])), []);
    }

    #[test]
    fn it_is_told_in_one_sentence() {
        let told = summary(&departure().evidence);
        assert_eq!(
            told,
            "cart: attempts made again no longer as the other vital signs of the service would have it: 0.100 where \
             0.002 is usual, for 30 s"
        );
    }
}
