//! `benchmarks/detection.md`.

use std::fmt::Write;

use crate::measure::Row;

/// The report's text.
#[must_use]
pub fn report(rows: &[Row], how: &str) -> String {
    let mut text = String::from(
        "# How well the brain sees\n\nMade by `make bench-detection`: a seeded simulator of meshes, weather and faults, fed second by second \
         through\n`lightsout replay -`. The simulator shares no code with the detectors. One configuration for all; no point adjustment; a miss \
         is an\ninfinite delay. What falls short stays in the table. Floors on the same runs: a rolling z-score (10 s against 300 s, z > 5, on a \
         service's\nfailures) and chance (one alarm a minute).\n\n",
    );
    let met = rows.iter().filter(|row| row.met && !row.target.is_empty()).count();
    let asked = rows.iter().filter(|row| !row.target.is_empty()).count();
    let _never = writeln!(text, "{how}\n\n**{met} of {asked} targets met.**\n");
    text.push_str("| what | target | reached | met | floors | runs |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let met = match (row.target, row.met) {
            ("", _) => "",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        let Row { what, target, reached, floor, runs, .. } = row;
        let _never = writeln!(text, "| {what} | {target} | {reached} | {met} | {floor} | {runs} |");
    }
    text
}
