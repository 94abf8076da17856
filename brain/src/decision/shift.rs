//! Weights before a surge: an endpoint that answers slower than its siblings has less to spare than they have, and
//! gets less of what comes. Only ever less, never below a floor, and nothing where it is not known of all of them.

use std::collections::BTreeMap;

use super::Circumstances;

/// Weights are said in hundredths of the configured ones: four fifths of 1 is no integer.
const SCALE: f64 = 100.0;

/// Who gets less.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shift {
    /// Of every endpoint that there is.
    pub(super) weights: BTreeMap<String, u32>,
    /// In words, of those that get less.
    pub(super) says: String,
}

/// Less for those that take more than `slower` times as long as the one in the middle, in proportion, but no less than
/// `at_least` of what they have. `None`: nobody does, or nobody knows.
pub(super) fn shift(now: &Circumstances, slower: f64, at_least: f64) -> Option<Shift> {
    let known = now.places.iter().filter(|(_, place)| place.serving && place.now == place.weight);
    let medians: Option<Vec<f64>> = known.map(|(id, _)| now.medians_ms.get(id).copied()).collect();
    let mut medians = medians.filter(|medians| medians.len() == now.places.len())?;
    medians.sort_by(f64::total_cmp);
    let middle = *medians.get(medians.len() / 2).filter(|ms| **ms > 0.0)?;
    let part = |id: &String| {
        let own = now.medians_ms.get(id).copied().unwrap_or(middle);
        if own > slower * middle { (middle / own).clamp(at_least, 1.0) } else { 1.0 }
    };
    let told = now.places.keys().filter(|id| part(id) < 1.0).map(|id| {
        let own = now.medians_ms.get(id).copied().unwrap_or_default();
        format!(
            "{:.0} % of its share for {id} ({own:.1} ms, {middle:.1} ms at its siblings)",
            part(id) * 100.0
        )
    });
    let told: Vec<String> = told.collect();
    // Rounded and at least 1; f64 to u32 saturates.
    let weights = now.places.iter().map(|(id, place)| {
        let weight = place.weight * SCALE * part(id);
        (id.clone(), if weight > 0.0 { weight.round().max(1.0) as u32 } else { 0 })
    });
    (!told.is_empty()).then(|| Shift { weights: weights.collect(), says: told.join(", ") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use protocol::snapshot::Health;

    use super::*;
    use crate::guard::capacity::Place;

    fn of(medians_ms: &[f64]) -> Circumstances {
        let place =
            Place { weight: 2.0, now: 2.0, version: "v1".into(), health: Health::Unknown, serving: true };
        let ids: Vec<String> = (0..medians_ms.len()).map(|n| n.to_string()).collect();
        Circumstances {
            places: ids.iter().map(|id| (id.clone(), place.clone())).collect(),
            medians_ms: ids.into_iter().zip(medians_ms.iter().copied()).collect(),
            ..Circumstances::default()
        }
    }

    #[test]
    fn who_is_slower_gets_less_and_never_less_than_the_floor() {
        let found = shift(&of(&[4.0, 5.0, 4.0, 40.0]), 1.2, 0.5).unwrap();
        assert_eq!(found.weights.values().copied().collect::<Vec<_>>(), [200, 200, 200, 100]);
        let found = shift(&of(&[4.0, 5.0, 4.0, 4.0]), 1.2, 0.5).unwrap();
        assert_eq!(found.weights["1"], 160);
        assert!(found.says.contains("80 % of its share for 1 (5.0 ms, 4.0 ms"), "{}", found.says);
    }

    #[test]
    fn nothing_is_shifted_where_all_are_alike_or_one_is_not_known() {
        assert_eq!(shift(&of(&[4.0, 4.3, 4.1]), 1.2, 0.5), None);
        assert_eq!(shift(&of(&[]), 1.2, 0.5), None);
        let mut unknown = of(&[4.0, 9.0, 4.0]);
        unknown.medians_ms.remove("0");
        assert_eq!(shift(&unknown, 1.2, 0.5), None);
        let mut out = of(&[4.0, 9.0, 4.0]);
        out.places.get_mut("2").unwrap().serving = false;
        assert_eq!(shift(&out, 1.2, 0.5), None, "something is being done there already");
    }
}
