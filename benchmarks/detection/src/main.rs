//! `detection-bench`: how well `lightsout` sees, measured from outside.
//!
//! A simulator of its own makes meshes, weather and faults from a seed; `lightsout replay` judges; the report
//! puts what was reached beside what was asked for.

mod cells;
mod clients;
mod fault;
mod floor;
mod measure;
mod mesh;
mod public;
mod regime;
mod replay;
mod report;
mod scenario;
mod score;
mod speed;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use measure::Measure;

/// Where all chance comes from.
pub type Dice = rand_pcg::Pcg64Mcg;

/// What to measure, and how long.
#[derive(Debug, Parser)]
struct Args {
    /// The program that is judged
    #[arg(long, default_value = "target/release/lightsout")]
    lightsout: PathBuf,
    /// Where the report goes
    #[arg(long, default_value = "benchmarks/detection.md")]
    out: PathBuf,
    /// Runs of each kind of fault
    #[arg(long, default_value_t = 30)]
    runs: u64,
    /// Quiet meshes of four services
    #[arg(long, default_value_t = 6)]
    quiet: u64,
    /// Days that each of them runs
    #[arg(long, default_value_t = 7)]
    days: u64,
    /// Flash crowds
    #[arg(long, default_value_t = 100)]
    crowds: u64,
    /// Folder of public development data (its `petshop`, `nab` and `smd` are read); absent: those rows say so
    #[arg(long, value_name = "DIR", env = "LIGHTSOUT_DATASETS", default_value = "../shared/datasets")]
    public: Option<PathBuf>,
    /// Instead of measuring, print the recording of one fault of the suite, by its number from 0
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    /// Note every incident here, one JSON object a line: what was said of it, and whether it was right
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,
    /// How the program that is judged was built, where that is not as it is shipped; the report says so
    #[arg(long, value_name = "TEXT")]
    built: Option<String>,
    /// The first seed; the others follow
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(n) = args.record {
        let suite = scenario::suite();
        let (_, service, kind) = suite.get(n).context("there is no such fault")?.clone();
        let scenario = scenario::in_the_shop(service, kind, args.seed);
        replay::write(&scenario, args.seed, std::io::stdout().lock())?;
        return Ok(());
    }
    let began = Instant::now();
    let runs = args.runs * (8 + scenario::suite().len() as u64) + args.quiet + args.crowds;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")?;
    let bar = ProgressBar::new(runs).with_style(style);
    let incidents = args.incidents.as_ref().map(std::fs::File::create).transpose()?;
    let incidents = incidents.as_ref();
    let measure = Measure { lightsout: &args.lightsout, seed: args.seed, bar: &bar, incidents };
    let mut rows = measure.delays(args.runs)?;
    rows.extend(measure.suite(args.runs)?);
    rows.extend(measure.botnets(args.runs)?);
    rows.extend(measure.hidden(args.runs)?);
    rows.extend(measure.quiet(args.quiet, args.days, args.crowds)?);
    rows.extend(public::rows(args.public.as_deref(), &args.lightsout)?);
    rows.extend(speed::rows(&args.lightsout)?);
    rows.push(measure::canaries());
    bar.finish_and_clear();
    let how = format!(
        "Seeds {} to {}; regimes iid, mild and wild in turn; {} s of history before each fault; {} runs of each fault, \
         {} quiet meshes of {} days, {} crowds. Run time {:.0} s{}.",
        args.seed,
        args.seed + args.runs.max(args.crowds).max(args.quiet) - 1,
        scenario::HISTORY_S,
        args.runs,
        args.quiet,
        args.days,
        args.crowds,
        began.elapsed().as_secs_f64(),
        args.built.map_or_else(String::new, |built| format!("; {built}")),
    );
    let text = report::report(&rows, &how);
    std::fs::write(&args.out, &text).with_context(|| format!("cannot write {}", args.out.display()))?;
    print!("{text}");
    Ok(())
}
