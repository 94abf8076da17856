//! A brain that has an hour of growing load behind it, which no test can wait for: it sleeps, and its memory is forged.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::kept::sqlite;
use crate::mesh::{Brain, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

impl Brain {
    /// Until the service, which is under load, has taught it for so many seconds.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until_known(&self, least_s: u64) -> Result<()> {
        eventually("the brain has heard of the service", PATIENCE, || async {
            let services = self.list("/v1/services").await?;
            Ok(services.iter().any(|s| s["learned_s"].as_u64() >= Some(least_s)))
        })
        .await
    }

    /// The brain that follows it, by the same telemetry port, and remembers that the load of `cart` has grown by a
    /// twentieth every minute of an hour, to `rps` requests a second.
    ///
    /// # Errors
    /// When it knows no `cart`, or does not come back.
    pub async fn after_an_hour_of_growth(mut self, rps: u32, mode: &str, config: &str) -> Result<Self> {
        // What it knows is kept every 15 s.
        self.until_known(17).await?;
        let port = self.process.address("telemetry").rsplit(':').next().context("no port")?.parse()?;
        self.process.signal(Signal::SIGTERM)?;
        self.process.ended().await?;
        early_in_a_minute().await?;
        remember_growth(&self.dir, f64::from(rps)).await?;
        Self::start_on(&self.dir, mode, (0, port), config).await
    }
}

/// A minute that ended before the brain is back would be one of hardly any load.
async fn early_in_a_minute() -> Result<()> {
    let into_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % 60;
    if into_s > 40 {
        tokio::time::sleep(Duration::from_secs(60 - into_s)).await;
    }
    Ok(())
}

async fn remember_growth(dir: &Path, rps: f64) -> Result<()> {
    let packed = hex::decode(sqlite(dir, "SELECT hex(data) FROM memory").await?)?;
    let mut memory: Value = serde_json::from_slice(&zstd::decode_all(&packed[..])?)?;
    let minute = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 60;
    // A load that nothing disturbs fits every model.
    let rate = |n: i32| rps * 1.05_f64.powi(n - 60) * if n % 2 == 0 { 1.01 } else { 0.99 };
    let rates: Vec<f64> = (0..=60).map(rate).collect();
    let minutes = json!({ "rates": rates, "newest": minute - 1, "open": [minute, 0, 0] });
    *memory.pointer_mut("/services/cart/minutes").context("the memory knows no cart")? = minutes;
    let packed = zstd::encode_all(memory.to_string().as_bytes(), 1)?;
    sqlite(dir, &format!("UPDATE memory SET data = X'{}'", hex::encode(packed))).await?;
    Ok(())
}
