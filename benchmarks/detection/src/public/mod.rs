//! What real data shows, where it is at hand: issues of a real application through `lightsout replay`; and the
//! series that are no windows of requests by what the brain has for any numbers, its patterns.

mod nab;
mod petshop;
mod scoring;
mod smd;
mod vus;

use std::path::Path;

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _};

use crate::Dice;
use crate::measure::Row;
use crate::score::wilson;

/// Draws of a detector that guesses: one is luck.
const GUESSES: u64 = 50;

/// A row for each of the public data; what is not in `folder` is said not to be.
///
/// # Errors
/// What is there is not what its description says, or the brain cannot be run.
pub fn rows(folder: Option<&Path>, lightsout: &Path) -> Result<Vec<Row>> {
    let there = |name: &str| folder.map(|folder| folder.join(name)).filter(|folder| folder.is_dir());
    let of = |name: &str, target: Row, measured: &dyn Fn(&Path, Row) -> Result<Row>| match there(name) {
        Some(folder) => measured(&folder, target),
        None => Ok(Row { reached: "not measured: no data here".to_owned(), ..target }),
    };
    Ok(vec![
        of("petshop", petshop_target(), &|folder, target| petshop_row(folder, lightsout, target))?,
        of("nab", nab_target(), &nab_row)?,
        of("smd", smd_target(), &smd_row)?,
    ])
}

fn target(what: &str, target: &'static str, floor: &str) -> Row {
    let (reached, runs) = (String::new(), String::new());
    Row { what: what.to_owned(), target, reached, met: false, floor: floor.to_owned(), runs }
}

fn petshop_target() -> Row {
    let floor = "random .06, n-sigma .39, traversal .65 (published)";
    target("public: PetShop, the first incident names the root cause", ">= .75", floor)
}

fn petshop_row(folder: &Path, lightsout: &Path, target: Row) -> Result<Row> {
    let score = petshop::judge(folder, lightsout)?;
    let (low, high) = wilson(score.right, score.of);
    let right = score.right as f64 / score.of.max(1) as f64;
    let reached = format!(
        "{right:.2} ({low:.2} to {high:.2}); {} of {} told at all; {} incidents in {} quiet stretches of ten hours",
        score.spoke, score.of, score.early, score.quiet
    );
    Ok(Row { reached, met: right >= 0.75, runs: format!("{} issues", score.of), ..target })
}

fn nab_target() -> Row {
    target("public: NAB standard profile, by patterns of one series' levels", ">= 55", "")
}

fn nab_row(folder: &Path, target: Row) -> Result<Row> {
    let series = nab::read(folder)?;
    let scores: Vec<Vec<f64>> = series.iter().map(scoring::of_series).collect();
    let reached = nab::cross_scored(&series, &scores);
    let (_, own) = nab::best_threshold(&series, &scores);
    let guess = |seed| {
        let mut dice = Dice::seed_from_u64(seed);
        let guesses: Vec<Vec<f64>> =
            series.iter().map(|s| s.values.iter().map(|_| dice.random()).collect()).collect();
        nab::cross_scored(&series, &guesses)
    };
    let guessed = (0..GUESSES).map(guess).sum::<f64>() / GUESSES as f64;
    Ok(Row {
        reached: format!(
            "{reached:.1}, the threshold fitted on the other half of the files ({own:.1}, fitted on all)"
        ),
        met: reached >= 55.0,
        floor: format!("random {guessed:.1}, mean of {GUESSES}; rolling z 41.7, SPOT 48.8 (published)"),
        runs: format!(
            "{} series, {} windows",
            series.len(),
            series.iter().map(|s| s.windows.len()).sum::<usize>()
        ),
        ..target
    })
}

fn smd_target() -> Row {
    target("public: SMD VUS-PR, by the pattern of a machine's metrics", ">= .55", "")
}

fn smd_row(folder: &Path, target: Row) -> Result<Row> {
    let machines = smd::read(folder)?;
    let volume = |labels: &[bool], scores: &[f64]| vus::vus_pr(labels, scores, vus::BUFFER);
    let each: Vec<f64> = machines.iter().map(|m| volume(&m.labels, &scoring::of_machine(m))).collect();
    let guess = |m: &smd::Machine| {
        let mut dice = Dice::seed_from_u64(7);
        let guesses: Vec<f64> = m.labels.iter().map(|_| dice.random()).collect();
        volume(&m.labels, &guesses)
    };
    let n = machines.len().max(1) as f64;
    let (mean, guessed) = (each.iter().sum::<f64>() / n, machines.iter().map(guess).sum::<f64>() / n);
    let of_each: Vec<String> =
        machines.iter().zip(&each).map(|(m, volume)| format!("{} {volume:.2}", m.name)).collect();
    Ok(Row {
        reached: format!("{mean:.3} ({})", of_each.join(", ")),
        met: mean >= 0.55,
        floor: format!("random {guessed:.2}; robust z top-3 .53, PCA .50 (published)"),
        runs: format!("{} machines", machines.len()),
        ..target
    })
}
