//! A window for tests, in which nothing was asked.

use protocol::telemetry::Window;

/// Of one second; `start_ms` and what else matters is for the test to say.
pub(crate) fn window() -> Window {
    Window {
        proxy: "edge".to_owned(),
        boot: "b".to_owned(),
        seq: 1,
        start_ms: 0,
        duration_ms: 1_000,
        config_hash: String::new(),
        cells: Vec::new(),
        clients: Vec::new(),
        clients_other: None,
    }
}
