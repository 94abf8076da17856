//! The control loop over recorded windows: orders them, completes them by virtual time, and says
//! what it would have done. Open loop, at disk speed, the same bytes each time.

mod line;
mod order;

use std::io::{BufRead, BufReader, Read, Write};

pub use line::{Line, LineType, ShownCause, lines};
pub use order::Order;

use protocol::telemetry::Window;

use crate::control_loop::{ControlLoop, LoopOptions};
use crate::domain::{Mode, TickInput};
use crate::guard::Fleet;
use crate::policies::Policies;

/// The longest line that is read, bytes: a full window is well below it.
const MAX_LINE: u64 = 16 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 1 << 20;

/// What a replay did, for standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Windows taken in.
    pub windows: u64,
    /// Lines that are no windows.
    pub skipped: u64,
    /// Windows seen before, or more than 5 s late.
    pub refused: u64,
    /// Windows whose numbers contradict themselves.
    pub quarantined: u64,
    /// Cells of series beyond the bound.
    pub overflowed: u64,
}

/// The lines of a recording, packed or not: Zstandard is known by its first bytes, not by a name.
///
/// # Errors
/// What reading the first bytes fails with.
pub fn unpacked(raw: Box<dyn Read>) -> std::io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::with_capacity(BUFFER, raw);
    if reader.fill_buf()?.starts_with(&ZSTD_MAGIC) {
        let decoder = zstd::Decoder::with_buffer(reader)?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)));
    }
    Ok(Box::new(reader))
}

/// Runs the loop over a recording, one window a line, and hands every line of the answer to `tell`.
///
/// # Errors
/// What reading or `tell` fails with.
pub fn replay(
    mut recording: impl BufRead,
    policies: Policies,
    mode: Mode,
    budgets: bool,
    mut tell: impl FnMut(&Line) -> std::io::Result<()>,
) -> std::io::Result<Summary> {
    let options = LoopOptions { open_loop: true, budgets, ..LoopOptions::default() };
    let mut brain = ControlLoop::new(policies, mode, options);
    let mut order = Order::default();
    let mut summary = Summary::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let read = Read::take(&mut recording, MAX_LINE).read_until(b'\n', &mut buffer)?;
        if read == 0 {
            break;
        }
        let text = buffer.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice::<Window>(text).ok().filter(|window| window.check().is_ok()) {
            Some(window) => order.put(window),
            None => summary.skipped += 1,
        }
        while let Some(batch) = order.complete() {
            turn(&mut brain, batch, &mut summary, &mut tell)?;
        }
    }
    while let Some(batch) = order.rest() {
        turn(&mut brain, batch, &mut summary, &mut tell)?;
    }
    summary.refused = order.refused();
    (summary.quarantined, summary.overflowed) = brain.refused();
    Ok(summary)
}

fn turn(
    brain: &mut ControlLoop,
    windows: Vec<Window>,
    summary: &mut Summary,
    tell: &mut impl FnMut(&Line) -> std::io::Result<()>,
) -> std::io::Result<()> {
    summary.windows += windows.len() as u64;
    let now_ms = windows.iter().map(Window::end_ms).max().unwrap_or(0);
    let input = TickInput { now_ms, windows, fleet: Fleet::new(), audit_ok: true, ..TickInput::default() };
    let now_ms = now_ms.max(brain.now_ms());
    for (_, event) in brain.tick(input).events {
        if let Some(line) = lines(&event, now_ms, brain) {
            tell(&line)?;
        }
    }
    Ok(())
}

/// Writes a line as JSON.
///
/// # Errors
/// What writing fails with.
pub fn write_json(line: &Line, mut to: impl Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut to, line)?;
    to.write_all(b"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::simulation::{Fault, Mesh, Spec};

    fn recording(seconds: usize) -> Vec<Window> {
        let mut mesh =
            Mesh::new(vec![Spec::new("web", "internet", 1, 200.0), Spec::new("cart", "web", 5, 200.0)], 3);
        mesh.faults.push(Fault {
            service: "cart",
            endpoint: Some(2),
            from_s: 30.0,
            to_s: 50.0,
            error_share: 0.4,
            slow_factor: 1.0,
        });
        (0..seconds).flat_map(|_| mesh.second()).collect()
    }

    fn text(windows: &[Window]) -> String {
        windows.iter().map(|w| serde_json::to_string(w).unwrap() + "\n").collect()
    }

    fn run(text: &str, mode: Mode) -> (Vec<u8>, Summary) {
        let mut out = Vec::new();
        let policies = Policies::shipped().unwrap();
        let summary =
            replay(text.as_bytes(), policies, mode, false, |line| write_json(line, &mut out)).unwrap();
        (out, summary)
    }

    fn types(out: &[u8]) -> Vec<String> {
        let lines = std::str::from_utf8(out).unwrap().lines();
        lines
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["type"].as_str().unwrap().into())
            .collect()
    }

    #[test]
    fn a_recorded_fault_is_told_once_from_opening_to_closing() {
        let (out, summary) = run(&text(&recording(100)), Mode::Autonomous);
        let types: Vec<String> = types(&out).into_iter().filter(|t| t != "incident_updated").collect();
        assert_eq!(types, ["incident_opened", "proposal", "verdict", "action", "effect", "incident_closed"]);
        assert_eq!((summary.windows, summary.skipped), (200, 0));
        let first: serde_json::Value =
            serde_json::from_slice(out.split(|b| *b == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["cause"]["endpoint"], "10.0.1.3:8080");
        assert_eq!(first["at_ms"], 1_700_000_032_000_i64);
    }

    #[test]
    fn twice_the_same_recording_is_twice_the_same_bytes() {
        let text = text(&recording(80));
        assert_eq!(run(&text, Mode::Autonomous), run(&text, Mode::Autonomous));
    }

    #[test]
    fn disorder_repetition_and_rubbish_change_nothing() {
        let windows = recording(100);
        let (plain, _) = run(&text(&windows), Mode::Autonomous);
        let mut shuffled = windows.clone();
        shuffled.chunks_mut(4).for_each(<[Window]>::reverse);
        shuffled.insert(50, windows[48].clone());
        let (same, summary) = run(&format!("rubbish\n{{}}\n{}", text(&shuffled)), Mode::Autonomous);
        assert_eq!(summary.skipped, 2);
        assert_eq!(summary.refused, 1);
        assert_eq!(types(&same), types(&plain));
    }

    #[test]
    fn observe_only_tells_and_advisory_asks() {
        let text = text(&recording(70));
        for (mode, verdict) in [(Mode::Observe, "deny"), (Mode::Advisory, "ask")] {
            let (out, _) = run(&text, mode);
            assert!(!types(&out).contains(&"action".to_owned()));
            assert!(String::from_utf8(out).unwrap().contains(&format!("\"verdict\":\"{verdict}\"")));
        }
    }
}
