//! What can go wrong in the demo, and when.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What happens to one endpoint of `cart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It answers, but 30 % of its answers fail.
    GrayEndpoint,
    /// Nobody listens any more, and its connections break.
    HardDown,
    /// It answers correctly, 400 ms late.
    SlowEndpoint,
    /// Nothing goes wrong, and nothing may be done.
    None,
}

impl Fault {
    /// As it is written on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The sick service.
pub const SICK_SERVICE: &str = "cart";
/// Which of its endpoints, from 0.
pub const SICK_ENDPOINT: usize = 2;
/// Share of a gray endpoint's answers that fail.
pub const GRAY_FAILURE_SHARE: f64 = 0.30;
/// How much later a slow endpoint answers.
pub const SLOW_BY: Duration = Duration::from_millis(400);
/// A user calls an answer slow after this long.
pub const USER_PATIENCE: Duration = Duration::from_millis(250);

/// Traffic before the fault: the brain sees what normal is.
pub const WARM_UP: Duration = Duration::from_secs(10);
/// The same where no brain has to learn.
pub const WARM_UP_WITHOUT_BRAIN: Duration = Duration::from_secs(3);
/// How long the endpoint stays sick unless the command line says otherwise, seconds.
pub const SICK_FOR_S: u32 = 20;
/// How long the brain may take to return the endpoint once it is well.
pub const RETURN_WITHIN: Duration = Duration::from_secs(75);
/// How long a run without any fault is watched.
pub const QUIET_FOR: Duration = Duration::from_secs(30);
/// In advisory mode the fault waits for a person at most this long.
pub const APPROVAL_WITHIN: Duration = Duration::from_secs(300);
