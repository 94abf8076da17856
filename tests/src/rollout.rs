//! Two versions of a service, users, a proxy and a brain: what a rollout needs.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::load::Load;
use crate::mesh::{Brain, Proxy, eventually, proxy_config};
use crate::origin::Origin;
use crate::process::run;

/// Bounds wide enough for a busy machine, and evidence for a test's patience: what is good must be
/// promoted within a minute, what is bad must be far worse than these.
const QUICK: &str = "judge:\n  warm_up_ms: 2000\n  promote_e: 10\n  rollback_e: 100\n\
    \x20 errors: { tolerance: { odds: 1.25, share: 0.005 }, limit: { odds: 4, share: 0.06 } }\n\
    \x20 latency: { tolerance: 2.0, limit: 5.0, tail_limit: 8.0, floor_us: 20000 }\n";

/// See the module: `cart` with two endpoints of v1 and one of v2, which the file gives nothing.
pub struct Stage {
    /// Everybody's folder.
    pub dir: tempfile::TempDir,
    /// Two of v1, then the one of v2.
    pub origins: Vec<Origin>,
    /// The brain.
    pub brain: Brain,
    /// The proxy.
    pub proxy: Proxy,
    /// Two hundred requests a second.
    pub load: Load,
}

/// What is not usual about a stage.
pub struct Setting<'a> {
    /// The brain's mode.
    pub mode: &'a str,
    /// More in the brain's configuration.
    pub brain: &'a str,
    /// More in the proxy's.
    pub proxy: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { mode: "advisory", brain: "", proxy: "" }
    }
}

/// How `canary wait` ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub said: Value,
    /// What it said on standard error.
    pub why: String,
}

fn config(dir: &Path, origins: &[Origin], more: &str) -> Result<String> {
    let text = proxy_config(dir, origins, more)?;
    let canary = origins.last().context("no origin")?.address.port();
    Ok(text.replace(
        &format!("port: {canary}, weight: 100, version: v1"),
        &format!("port: {canary}, weight: 0, version: v2"),
    ))
}

impl Stage {
    /// The usual one.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn set() -> Result<Self> {
        Self::set_in(tempfile::tempdir()?, Setting::default()).await
    }

    /// Another one, in a folder in which things may lie already.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn set_in(dir: tempfile::TempDir, setting: Setting<'_>) -> Result<Self> {
        let origins = Origin::start_many(3).await?;
        let brain = Brain::start_on(dir.path(), setting.mode, (0, 0), setting.brain).await?;
        let more = format!("{}{}", brain.ai_section(), setting.proxy);
        let proxy = Proxy::start(dir.path(), &config(dir.path(), &origins, &more)?).await?;
        let load = Load::start(&proxy.url, 200)?;
        eventually("the brain knows the proxy", Duration::from_secs(30), || async {
            Ok(brain.list("/v1/proxies").await?.iter().any(|p| p["reachable"] == true))
        })
        .await?;
        Ok(Self { dir, origins, brain, proxy, load })
    }

    /// The endpoint of v2.
    ///
    /// # Panics
    /// When the test has taken it away.
    #[must_use]
    pub fn v2(&self) -> &Origin {
        &self.origins[2]
    }

    /// Writes `canary.yaml` with `more` in it and starts it; its id.
    ///
    /// # Errors
    /// With its reason, when it is refused.
    pub async fn start(&self, more: &str) -> Result<String> {
        self.start_judged(more, QUICK).await
    }

    /// The same with another judge.
    ///
    /// # Errors
    /// With its reason, when it is refused.
    pub async fn start_judged(&self, more: &str, judge: &str) -> Result<String> {
        let longest = if more.contains("max_duration_s") { "" } else { "max_duration_s: 300\n" };
        let text = format!(
            "kind: Canary\nservice: cart\nstable: v1\ncanary: v2\nmin_bake_s: 2\n{longest}{more}{judge}"
        );
        std::fs::write(self.dir.path().join("canary.yaml"), text)?;
        let id = self.brain.operator(&["canary", "start", "--file", "canary.yaml"]).await?;
        Ok(id.trim().to_owned())
    }

    /// `GET /v1/canaries/ID`.
    ///
    /// # Errors
    /// When the brain does not answer.
    pub async fn detail(&self, id: &str) -> Result<Value> {
        Ok(reqwest::get(format!("{}/v1/canaries/{id}", self.brain.api)).await?.json().await?)
    }

    /// Waits until the canary is as `holds` says; it must not end before.
    ///
    /// # Errors
    /// Names what never came, with the canary as it was last.
    pub async fn until(&self, what: &str, id: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let last = std::cell::RefCell::new(Value::Null);
        let seen = eventually(what, Duration::from_secs(120), || async {
            let detail = self.detail(id).await?;
            let (holds, over) = (holds(&detail), detail["ended_ms"].is_number());
            last.replace(detail);
            if over && !holds {
                bail!("it ended before");
            }
            Ok(holds)
        });
        let seen = seen.await;
        seen.with_context(|| format!("{}\n{}", last.borrow(), self.brain.process.log()))?;
        Ok(last.into_inner())
    }

    /// `canary wait`, once it is over.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn wait(&self, id: &str) -> Result<Ended> {
        eventually("the canary is over", Duration::from_secs(150), || async {
            let phase = self.detail(id).await?["phase"].clone();
            let ends = ["promoted", "rolled_back", "undecided", "finished"];
            Ok(ends.contains(&phase.as_str().unwrap_or_default()))
        })
        .await
        .with_context(|| self.brain.process.log())?;
        let output = self.lightsout(&["canary", "wait", id, "--timeout", "10s"]).await?;
        Ok(Ended {
            code: output.status.code(),
            said: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            why: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The command line against this brain.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn lightsout(&self, arguments: &[&str]) -> Result<Output> {
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.brain.api, "--data-dir", "brain-data"]);
        run("lightsout", &all, self.dir.path()).await
    }

    /// Of the weights at the proxy, v2's share, 0 to 1.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn share_of_v2(&self) -> Result<f64> {
        let status = self.proxy.status().await?;
        let all: Vec<_> = status.services.into_iter().flat_map(|s| s.endpoints).collect();
        let weight = |version: &str| -> f64 {
            all.iter().filter(|e| e.version == version).map(|e| f64::from(e.weight)).sum()
        };
        Ok(weight("v2") / (weight("v1") + weight("v2")))
    }
}
