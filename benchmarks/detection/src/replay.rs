//! One scenario through `lightsout replay -`: the brain as anyone can run it, nothing of its inside.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use protocol::telemetry::Window;
use rand_pcg::rand_core::SeedableRng;
use serde::Deserialize;

use crate::Dice;
use crate::floor::Floor;
use crate::mesh::Mesh;
use crate::scenario::Scenario;

/// One line of the brain's answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Said {
    /// Virtual time, ms since the epoch.
    pub at_ms: i64,
    /// `incident_opened` and so on.
    #[serde(rename = "type")]
    pub line: String,
    /// Which incident.
    pub incident: Option<String>,
    /// The culprit.
    pub cause: Option<Cause>,
    /// 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// What would be done.
    pub action: Option<serde_json::Value>,
    /// What the guard says.
    pub verdict: Option<String>,
}

/// The culprit.
#[derive(Debug, Clone, Deserialize)]
pub struct Cause {
    /// Of the closed set.
    pub kind: String,
    /// Where.
    #[serde(default)]
    pub service: Option<String>,
    /// Which endpoint.
    pub endpoint: Option<String>,
    /// Which version.
    pub version: Option<String>,
    /// Which addresses or networks.
    #[serde(default)]
    pub ips: Vec<String>,
}

/// What came of one scenario.
#[derive(Debug)]
pub struct Answer {
    /// In order.
    pub said: Vec<Said>,
    /// The alarms of the floor detectors.
    pub floor: Floor,
}

/// Runs it.
///
/// # Errors
/// The brain's program cannot be run, fails, or says what is no line of CONTRACTS §4.
pub fn replay(lightsout: &Path, scenario: &Scenario, seed: u64) -> Result<Answer> {
    let mut brain = spawn(lightsout)?;
    let (input, output) = (brain.stdin.take(), brain.stdout.take());
    let (input, output) = (input.context("no standard input")?, output.context("no standard output")?);
    let of_writer = scenario.clone();
    let writer = std::thread::spawn(move || write(&of_writer, seed, BufWriter::new(input)));
    let said = BufReader::new(output).lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let said = said.collect::<Result<Vec<Said>>>()?;
    ensure!(brain.wait()?.success(), "the replay failed");
    let floor = writer.join().map_err(|_| anyhow::anyhow!("the simulator failed"))??;
    Ok(Answer { said, floor })
}

/// What the brain says of these windows.
///
/// # Errors
/// As [`replay`].
pub fn judged_by(lightsout: &Path, windows: Vec<Window>) -> Result<Vec<Said>> {
    let mut brain = spawn(lightsout)?;
    let (input, output) = (brain.stdin.take(), brain.stdout.take());
    let (input, output) = (input.context("no standard input")?, output.context("no standard output")?);
    let writer = std::thread::spawn(move || {
        let mut out = BufWriter::new(input);
        for window in &windows {
            serde_json::to_writer(&mut out, window)?;
            out.write_all(b"\n")?;
        }
        anyhow::Ok(out.flush()?)
    });
    let said = BufReader::new(output).lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let said = said.collect::<Result<Vec<Said>>>()?;
    ensure!(brain.wait()?.success(), "the replay failed");
    writer.join().map_err(|_| anyhow::anyhow!("the writer failed"))??;
    Ok(said)
}

fn spawn(lightsout: &Path) -> Result<Child> {
    Command::new(lightsout)
        .args(["replay", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", lightsout.display()))
}

/// Writes the scenario's recording, and hears what the floor detectors say of it.
///
/// # Errors
/// Nobody reads.
pub fn write(scenario: &Scenario, seed: u64, mut out: impl Write) -> Result<Floor> {
    let dice = Dice::seed_from_u64(seed);
    let mut mesh = Mesh::new(scenario.services.clone(), scenario.regime, dice);
    let mut floor = Floor::new(seed);
    for at_s in 0..scenario.seconds {
        let windows = mesh.second(at_s, &scenario.faults);
        floor.observe(at_s, &windows);
        for window in &windows {
            serde_json::to_writer(&mut out, window)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(floor)
}
