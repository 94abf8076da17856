//! What goes wrong in one world, and when: all of it from the seed.

use std::collections::BTreeMap;

use ::brain::domain::Mode;
use fastrand::Rng;

use crate::planted::Bug;

/// From one step to the next, milliseconds: the brain's tick.
pub const STEP_MS: i64 = 250;
/// While things go wrong.
pub const TURBULENT_S: i64 = 70;
/// Nothing new goes wrong: what was begun is finished or undone.
pub const CALM_S: i64 = 45;
/// No brain lives any more: all leases end.
pub const DEAD_S: i64 = 22;

/// The sorts of faults that are injected, as the report counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message that never arrives.
    MessageLost,
    /// A message that takes seconds.
    MessageDelayed,
    /// A message that arrives twice.
    MessageDuplicated,
    /// A message that overtakes an earlier one.
    MessageReordered,
    /// A proxy and a brain that do not hear each other for a while.
    Partition,
    /// A brain that dies, between any two of its steps.
    BrainCrash,
    /// A brain that lives again, from what its store holds.
    BrainRestart,
    /// A second brain with a store of its own.
    SecondBrain,
    /// A proxy that dies and starts again.
    ProxyRestart,
    /// An audit log that cannot be written.
    BrainDisk,
    /// A proxy's state file that cannot be written.
    ProxyDisk,
    /// A brain's clock that is set.
    BrainClock,
    /// A proxy's wall clock that is set.
    ProxyClock,
    /// A window that lies.
    HostileWindow,
    /// The kill switch on a proxy.
    ProxyFrozen,
    /// An ejection that does harm.
    HarmfulAction,
    /// A person who asks for something, sensible or not.
    PersonRequest,
    /// An endpoint, a version or a service that fails, or clients that flood.
    Trouble,
}

/// How often each sort was injected.
pub type Faults = BTreeMap<Fault, u64>;

/// One time between two, milliseconds since the start.
pub type Span = (i64, i64);

/// What is wrong with the mesh itself.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// One endpoint of a service answers so many requests with an error.
    Endpoint { service: usize, endpoint: usize, share: f64 },
    /// A whole service does.
    Service { service: usize, share: f64 },
    /// A few clients ask this many times the usual.
    Flood { times: f64, clients: u8 },
}

/// Everything that a seed says.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub mode: Mode,
    pub proxies: usize,
    pub troubles: Vec<(Span, Trouble)>,
    /// Ejecting an endpoint makes the others fail by this share.
    pub harm: f64,
    /// Share of messages that are lost, late, or doubled.
    pub lose: f64,
    pub delay: f64,
    pub double: f64,
    /// (brain, proxy) do not hear each other.
    pub partitions: Vec<(Span, usize, usize)>,
    /// When a brain dies, which, and for how long it is dead.
    pub crashes: Vec<(i64, usize, i64)>,
    /// When a second brain starts.
    pub second_brain_ms: Option<i64>,
    pub proxy_restarts: Vec<(i64, usize)>,
    pub brain_disk: Vec<(Span, usize)>,
    pub proxy_disk: Vec<(Span, usize)>,
    /// When a brain's clock is set, which, and by how much.
    pub brain_clock: Vec<(i64, usize, i64)>,
    pub proxy_clock: Vec<(i64, usize, i64)>,
    /// Proxy that lies, and when.
    pub hostile: Vec<(Span, usize)>,
    /// Proxy that an operator freezes, until unfrozen.
    pub frozen: Vec<(Span, usize)>,
    /// Share of the seconds in which somebody asks for something.
    pub people: f64,
    /// Seconds of quiet traffic before what needs a baseline may be acted on.
    pub learning_s: u64,
    /// What is wrong with every brain of this world; nothing, but for the test of the simulation itself.
    pub planted: Option<Bug>,
}

fn span(rng: &mut Rng, longest_s: i64) -> Span {
    let from = rng.i64(3_000..TURBULENT_S * 1_000 - 5_000);
    (from, (from + rng.i64(500..longest_s * 1_000)).min(TURBULENT_S * 1_000))
}

/// Up to `most` of them, in a share of the worlds.
fn some<T>(rng: &mut Rng, share: f64, most: usize, mut each: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    let count = if rng.f64() < share { rng.usize(1..=most) } else { 0 };
    (0..count).map(|_| each(rng)).collect()
}

impl Plan {
    /// What `seed` says.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED);
        let proxies = rng.usize(1..=4);
        let at = |rng: &mut Rng| rng.i64(2_000..TURBULENT_S * 1_000 - 2_000);
        let rough = rng.f64() < 0.7;
        let rate = |rng: &mut Rng, most: f64| if rough { rng.f64() * most } else { 0.0 };
        Self {
            seed,
            mode: match rng.u8(0..10) {
                0 => Mode::Observe,
                1 | 2 => Mode::Advisory,
                _ => Mode::Autonomous,
            },
            proxies,
            troubles: some(rng, 0.95, 3, trouble),
            harm: if rng.f64() < 0.15 { 0.2 + rng.f64() * 0.5 } else { 0.0 },
            lose: rate(rng, 0.2),
            delay: rate(rng, 0.2),
            double: rate(rng, 0.15),
            partitions: some(rng, 0.4, 3, |rng| (span(rng, 20), rng.usize(0..2), rng.usize(0..proxies))),
            crashes: some(rng, 0.5, 3, |rng| (at(rng), rng.usize(0..2), rng.i64(0..12_000))),
            second_brain_ms: (rng.f64() < 0.25).then(|| at(rng)),
            proxy_restarts: some(rng, 0.4, 3, |rng| (at(rng), rng.usize(0..proxies))),
            brain_disk: some(rng, 0.3, 2, |rng| (span(rng, 15), rng.usize(0..2))),
            proxy_disk: some(rng, 0.2, 2, |rng| (span(rng, 15), rng.usize(0..proxies))),
            brain_clock: some(rng, 0.25, 2, |rng| (at(rng), rng.usize(0..2), jump(rng))),
            proxy_clock: some(rng, 0.25, 2, |rng| (at(rng), rng.usize(0..proxies), jump(rng))),
            hostile: some(rng, 0.3, 2, |rng| (span(rng, 30), rng.usize(0..proxies))),
            frozen: some(rng, 0.15, 1, |rng| (span(rng, 20), rng.usize(0..proxies))),
            people: if rng.f64() < 0.5 { rng.f64() * 0.3 } else { 0.0 },
            learning_s: if rng.bool() { 15 } else { 3_600 },
            planted: None,
        }
    }
}

fn trouble(rng: &mut Rng) -> (Span, Trouble) {
    let from = rng.i64(8_000..45_000);
    let to = if rng.bool() { i64::MAX } else { from + rng.i64(3_000..30_000) };
    let trouble = match rng.u8(0..8) {
        0 => Trouble::Service { service: rng.usize(0..2), share: 0.2 + rng.f64() * 0.8 },
        1 | 2 => Trouble::Flood { times: 2.0 + rng.f64() * 8.0, clients: rng.u8(1..6) },
        _ => Trouble::Endpoint {
            service: rng.usize(0..2),
            endpoint: rng.usize(0..5),
            share: 0.15 + rng.f64() * 0.85,
        },
    };
    ((from, to), trouble)
}

fn jump(rng: &mut Rng) -> i64 {
    let far = [1_000, 7_000, 60_000, 600_000, 7_200_000][rng.usize(0..5)];
    if rng.bool() { far } else { -far }
}
