//! What the simulator shows of each kind of action before the first real one. `make prior` lives through many worlds,
//! writes what came of the remedies into the brain and how well that tells other worlds onto a page; a part of both
//! is lived again with every test run.

use std::fmt::Write as _;
use std::ops::Range;

use super::troubles::{Came, came};
use super::undoing::{self, Row};
use super::*;
use crate::learning::{Curve, Lessons, Prior, Shown, Trial};

/// Worlds that teach …
const TEACH: Range<u64> = 20_000..20_800;
/// … and that judge what was taught.
const JUDGE: Range<u64> = 40_000..40_400;

/// What came of the worlds of these seeds, on all cores.
fn lived(seeds: Range<u64>) -> Vec<(u64, Came)> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let each = |worker: usize| {
        let own = seeds.clone().skip(worker).step_by(workers);
        own.filter_map(|seed| Some((seed, came(seed)?))).collect::<Vec<_>>()
    };
    let mut all: Vec<(u64, Came)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || each(worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(|(seed, _)| *seed);
    all
}

fn by_kind_and_cause(lived: &[(u64, Came)]) -> Vec<Shown> {
    let mut shown: BTreeMap<(String, CauseKind), Vec<Trial>> = BTreeMap::new();
    for (seed, came) in lived {
        let kind = came.proposal.action.kind.name().to_owned();
        shown.entry((kind, came.cause)).or_default().push(came.trial(*seed));
    }
    shown.into_iter().map(|((kind, cause), trials)| Shown { kind, cause, trials }).collect()
}

fn prior(seeds: Range<u64>) -> Prior {
    Prior {
        made_by: "make prior".to_owned(),
        first_seed: seeds.start,
        worlds: seeds.end - seeds.start,
        shown: by_kind_and_cause(&lived(seeds)),
    }
}

/// How well `lessons` tell what came of actions that did not teach them.
#[derive(Default)]
struct Judged {
    trials: u32,
    silent: u32,
    /// What the rule said, what that was corrected to, and what the model said.
    rule: Curve,
    corrected: Curve,
    model: Curve,
    /// The model's word, summed, and how often it spoke: in vain, and where it helped.
    words: [(f64, u32); 2],
}

fn judged<'a>(lessons: &Lessons, of: impl Iterator<Item = &'a Shown>) -> Judged {
    let mut judged = Judged::default();
    for shown in of {
        let (model, curve) = (lessons.model(&shown.kind, shown.cause), lessons.curve(&shown.kind));
        for Trial(_, said, helped, x) in &shown.trials {
            judged.trials += 1;
            judged.rule.learn(*said, *helped);
            judged.corrected.learn(curve.map_or(*said, |curve| curve.corrected(*said)), *helped);
            match model.and_then(|model| model.word(x).ok()) {
                Some(word) => {
                    judged.model.learn(word, *helped);
                    let (sum, n) = &mut judged.words[usize::from(*helped)];
                    (*sum, *n) = (*sum + word, *n + 1);
                }
                None => judged.silent += 1,
            }
        }
    }
    judged
}

impl Judged {
    fn row(&self, name: &str) -> String {
        let mean =
            |(sum, n): (f64, u32)| if n > 0 { format!("{:.2}", sum / f64::from(n)) } else { "-".into() };
        format!(
            "| {name} | {} | {} | {:.3} | {:.3} | {:.3} | {} | {} | {} |",
            self.trials,
            self.words[1].1,
            self.rule.error(),
            self.corrected.error(),
            self.model.error(),
            mean(self.words[0]),
            mean(self.words[1]),
            self.silent
        )
    }
}

fn page(prior: &Prior, others: &[Shown], undone: &[Row]) -> String {
    let lessons = Lessons::of(prior);
    let mut page = String::from("# What remedies come to, and how well that is told beforehand\n\n");
    let taught: usize = prior.shown.iter().map(|shown| shown.trials.len()).sum();
    let _ = writeln!(
        page,
        "Made by `make prior`: worlds from seeds, with sick endpoints and versions, crowds and abusive clients, the brain's \
         real control loop, and a mesh on paper. {taught} outcomes of {} worlds (seeds {} to {}) are compiled into the \
         brain; none of the figures below is about those seeds.\n",
        prior.worlds,
        prior.first_seed,
        prior.first_seed + prior.worlds - 1
    );
    let _ = writeln!(
        page,
        "## Calibration, on {} worlds that taught nothing (seeds {} to {})\n",
        JUDGE.end - JUDGE.start,
        JUDGE.start,
        JUDGE.end - 1
    );
    page.push_str(
        "Expected calibration error of the rule's word, of the same corrected by what came true of the like, and of the \
         model's; what the model said where it did not help and where it did; how often it was silent.\n\n\
         | action, cause | outcomes | helped | rule | corrected | model | in vain | helped | silent |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for shown in others {
        let name = format!("{}, {:?}", shown.kind, shown.cause);
        let _ = writeln!(page, "{}", judged(&lessons, std::iter::once(shown)).row(&name));
    }
    let _ = writeln!(page, "{}\n", judged(&lessons, others.iter()).row("**all**"));
    page.push_str(&undoing::table(undone));
    page
}

/// Writes `PRIOR` and `REPORT`.
#[test]
#[ignore = "make prior"]
fn make_prior() {
    let prior = prior(TEACH);
    let others = by_kind_and_cause(&lived(JUDGE));
    let page = page(&prior, &others, &undoing::rows(30));
    println!("{page}");
    if let (Ok(file), Ok(report)) = (std::env::var("PRIOR"), std::env::var("REPORT")) {
        let text = serde_json::to_string(&prior).unwrap();
        // A trial a line: what has changed can be seen.
        std::fs::write(file, text.replace(",[2", ",\n[2").replace("[[2", "[\n[2") + "\n").unwrap();
        std::fs::write(report, page).unwrap();
    }
}

#[test]
fn what_is_compiled_in_is_what_its_worlds_show() {
    let shipped = Prior::shipped();
    let again = prior(shipped.first_seed..shipped.first_seed + 16).shown;
    let of = |shown: &Shown, seed: u64| shown.trials.iter().find(|trial| trial.0 == seed).cloned();
    let mut same = 0;
    let mut all = 0;
    for (shown, Trial(seed, said, helped, _)) in
        again.iter().flat_map(|s| s.trials.iter().map(move |t| (s, t)))
    {
        let kept = shipped.shown.iter().filter(|s| (&s.kind, s.cause) == (&shown.kind, shown.cause));
        let kept = kept.filter_map(|s| of(s, *seed)).next();
        all += 1;
        same += usize::from(kept.is_some_and(|kept| kept.2 == *helped && (kept.1 - said).abs() < 0.1));
    }
    // Detectors are made better, and then a few come out otherwise.
    assert!(all >= 8 && same * 4 >= all * 3, "only {same} of {all} are the same: run `make prior`");
}

#[test]
fn what_is_compiled_in_tells_worlds_that_it_was_not_made_from() {
    let others = by_kind_and_cause(&lived(41_000..41_040));
    let judged = judged(Lessons::shipped(), others.iter());
    println!("{}", judged.row("all"));
    assert!(judged.trials >= 25 && judged.silent * 5 <= judged.trials, "{}", judged.row("all"));
}
