//! `canary-bench`: how often the judge of canaries is wrong, how soon it is sure, and what others do with the same
//! streams.

mod judges;
mod kayenta;
mod report;
mod scenario;
mod tally;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use report::Row;
use scenario::Cell;
use tally::Tally;
use world::Rollout;

/// Where all chance comes from.
pub type Dice = rand_pcg::Pcg64Mcg;

/// What to measure, and how long.
#[derive(Debug, Parser)]
struct Args {
    /// Where the report goes
    #[arg(long, default_value = "benchmarks/canary.md")]
    out: PathBuf,
    /// Rollouts of each healthy regime
    #[arg(long, default_value_t = 2_000)]
    good: u64,
    /// Rollouts of each bad canary
    #[arg(long, default_value_t = 1_000)]
    bad: u64,
    /// Only cells whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// The first seed; the others follow. Not those with which the judge was built
    #[arg(long, default_value_t = 1_000_001)]
    seed: u64,
}

fn run(cell: Cell, at: usize, rollouts: u64, seed: u64, bar: &ProgressBar) -> Row {
    let mut tallies: [Tally; 3] = Default::default();
    for n in 0..rollouts {
        // Cells do not share their chance.
        let dice = Dice::seed_from_u64((seed + n) ^ ((at as u64 + 1) << 40));
        let mut rollout = Rollout::new(&cell.world, dice);
        let ends = judges::judge(&cell.world, cell.horizon_s, || rollout.second());
        tallies.iter_mut().zip(ends).for_each(|(tally, end)| tally.add(end));
        bar.inc(1);
    }
    Row { cell, tallies }
}

/// Time that a core has spent here, seconds: other programs do not count.
fn core_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let ns: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(ns / 1e9)
}

fn main() -> Result<()> {
    let args = Args::parse();
    let began = Instant::now();
    let good = scenario::good().into_iter().map(|cell| (cell, args.good));
    let bad = scenario::bad().into_iter().map(|cell| (cell, args.bad));
    let asked = |cell: &Cell| args.only.as_ref().is_none_or(|only| cell.name.contains(only.as_str()));
    let cells: Vec<(Cell, u64)> = good.chain(bad).filter(|(cell, _)| asked(cell)).collect();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rollouts, {eta} left")?;
    let bar = ProgressBar::new(cells.iter().map(|(_, n)| n).sum()).with_style(style);
    let one = |(at, (cell, n)): (usize, (Cell, u64))| run(cell, at, n, args.seed, &bar);
    let rows: Vec<Row> = cells.into_iter().enumerate().map(one).collect();
    bar.finish_and_clear();
    let how = format!(
        "{} rollouts of each healthy regime, {} of each bad canary; seeds {} on (others than the judge was built with); {:.0} s of one core's time.",
        args.good,
        args.bad,
        args.seed,
        core_s().unwrap_or(began.elapsed().as_secs_f64()),
    );
    let text = report::report(&rows, &how);
    std::fs::write(&args.out, &text).with_context(|| format!("cannot write {}", args.out.display()))?;
    print!("{text}");
    Ok(())
}
