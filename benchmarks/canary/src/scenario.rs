//! The cells of the report: what a rollout is like, and what a judge should do with it.

use crate::world::{Fault, World};

/// One row.
#[derive(Debug, Clone)]
pub struct Cell {
    /// In words.
    pub name: &'static str,
    /// How it is.
    pub world: World,
    /// What should happen.
    pub wanted: Wanted,
    /// Seconds until the end.
    pub horizon_s: u64,
}

/// What a judge should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Not roll back.
    Keep,
    /// Roll back within the horizon.
    RollBack,
    /// Not promote; rolling back is as right as holding.
    NotPromote,
}

/// 30 s of warm-up and 6,000 requests of a canary with 5 % of 200 a second.
const HORIZON_S: u64 = 630;
const WILD: (f64, f64, f64) = (0.6, 0.10, 0.3);

fn keep(name: &'static str, world: World) -> Cell {
    Cell { name, world, wanted: Wanted::Keep, horizon_s: HORIZON_S }
}

fn roll_back(name: &'static str, fault: Fault, world: World) -> Cell {
    Cell { name, world: World { fault, ..world }, wanted: Wanted::RollBack, horizon_s: HORIZON_S }
}

fn quiet() -> World {
    World::default()
}

fn wild() -> World {
    World { drift: WILD, ..quiet() }
}

/// Canaries that are as good as the stable version.
pub fn good() -> Vec<Cell> {
    let thin = |rps: f64, weight: f64, name: &'static str| Cell {
        horizon_s: 1_800,
        ..keep(name, World { rps, weight, ..wild() })
    };
    vec![
        keep("quiet", quiet()),
        keep("drift: errors ×/÷ 2, latency ±10 %, rate ±30 %", wild()),
        keep("shared troubles every 2 min", World { trouble_every_s: 120.0, ..wild() }),
        keep("failures in clumps of 5", World { clump: 5.0, ..wild() }),
        keep("failures in clumps of 20", World { clump: 20.0, ..wild() }),
        keep("every host pauses 1 s a minute", World { pause_every_s: 60.0, ..wild() }),
        keep("no errors at all", World { errors: 0.0, ..quiet() }),
        keep("stray errors: 1 in 10,000", World { errors: 1e-4, ..wild() }),
        keep("stray errors in clumps of 5", World { errors: 5e-4, clump: 5.0, ..wild() }),
        keep("5 % errors on both", World { errors: 0.05, ..wild() }),
        thin(20.0, 0.1, "20 requests/s, 10 % canary"),
        thin(2.0, 0.5, "2 requests/s, half canary"),
        keep("2,000 requests/s", World { rps: 2_000.0, ..wild() }),
        keep("half the traffic", World { weight: 0.5, ..wild() }),
        keep("heavy latency tail (σ 1.2)", World { sigma: 1.2, ..wild() }),
        keep("cold start: ×3, fading in 10 s", World { cold: (2.0, 10.0), ..quiet() }),
        keep("cache warming: ×2, fading in 40 s", World { cold: (1.0, 40.0), ..quiet() }),
        keep("cache warming: ×1.6, fading in 60 s, drift", World { cold: (0.6, 60.0), ..wild() }),
        keep("another host: latency ±3 %, errors ±10 %", World { host: (0.03, 0.1), ..wild() }),
        keep("host wanders by itself ±4 %", World { own_drift: 0.04, ..wild() }),
        keep("route mix of the canary shifts", World { mix_shift: Some((60, 300)), ..wild() }),
        keep(
            "step to 25 %, queues 20 s until scaled, then cold endpoints",
            World { step: Some((150, 0.25)), scaling_s: Some(20), ..quiet() },
        ),
        keep("retries couple both sides", World { retries: true, trouble_every_s: 180.0, ..wild() }),
        keep("×1.08 slower: inside the tolerance", World { fault: Fault::Slower(1.08), ..wild() }),
        keep("errors .5 → .6 %: inside the tolerance", World { fault: Fault::Errors(0.006), ..wild() }),
    ]
}

/// Canaries that are not.
pub fn bad() -> Vec<Cell> {
    let later = |cell: Cell| Cell { world: World { fault_from_s: 240, bake_s: 300, ..cell.world }, ..cell };
    vec![
        roll_back("errors .5 → 5 %", Fault::Errors(0.05), quiet()),
        roll_back("errors .5 → 2 %", Fault::Errors(0.02), quiet()),
        roll_back("errors .5 → 2 %, drift", Fault::Errors(0.02), wild()),
        roll_back("errors 0 → 1 %", Fault::Errors(0.01), World { errors: 0.0, ..quiet() }),
        roll_back("errors .5 → 5 %, clumps of 5", Fault::Errors(0.05), World { clump: 5.0, ..wild() }),
        roll_back("errors .5 → 10 % on one of two routes", Fault::RouteErrors(0.1), wild()),
        roll_back("errors .5 → 5 %, retries", Fault::Errors(0.05), World { retries: true, ..wild() }),
        roll_back("latency ×1.25", Fault::Slower(1.25), quiet()),
        roll_back("latency ×1.25, drift", Fault::Slower(1.25), wild()),
        roll_back("latency ×1.5", Fault::Slower(1.5), wild()),
        roll_back(
            "latency ×1.5, also cold at first",
            Fault::Slower(1.5),
            World { cold: (1.0, 40.0), ..quiet() },
        ),
        roll_back("latency ×1.5, σ 1.2", Fault::Slower(1.5), World { sigma: 1.2, ..wild() }),
        roll_back("5 % of requests ×5 slower", Fault::Tail(0.05), wild()),
        roll_back("a leak: ×1.2 every 100 s", Fault::Leak(1.2), wild()),
        later(roll_back("errors .5 → 5 % after 4 min, baked for 5", Fault::Errors(0.05), wild())),
        later(roll_back("latency ×1.5 after 4 min, baked for 5", Fault::Slower(1.5), wild())),
        Cell {
            horizon_s: 1_800,
            ..roll_back(
                "20 requests/s, 10 % canary: .5 → 10 %",
                Fault::Errors(0.1),
                World { rps: 20.0, weight: 0.1, ..wild() },
            )
        },
        roll_back("down", Fault::Down, wild()),
        roll_back("crash loop", Fault::CrashLoop, wild()),
        Cell {
            wanted: Wanted::NotPromote,
            ..roll_back("errors .5 → 1 %: at the limit", Fault::Errors(0.01), wild())
        },
    ]
}
