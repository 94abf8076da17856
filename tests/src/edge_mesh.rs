//! `cart` at the edge of a mesh whose brain acts by itself: five endpoints, a proxy that sees clients' addresses, and a
//! brain to which the usual is known after seconds.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::load::Load;
use crate::mesh::{Brain, Proxy, eventually, proxy_config};
use crate::origin::Origin;
use crate::policies::policies;

/// The shipped policies are for a mesh that is known after an hour, this one is after seconds.
fn known_after_seconds(file: &str, text: String) -> String {
    let (from, to) = match file {
        "guard.yaml" => ("learning_s: 3600", "learning_s: 12"),
        "detection.yaml" => ("min_learned_s: 300", "min_learned_s: 12"),
        _ => return text,
    };
    assert!(text.contains(from), "{file} has no {from}");
    text.replacen(from, to, 1)
}

/// The mesh.
pub struct EdgeMesh {
    /// Of `cart`.
    pub origins: Vec<Origin>,
    /// Before them.
    pub proxy: Proxy,
    /// Autonomous.
    pub brain: Brain,
    _dir: tempfile::TempDir,
}

impl EdgeMesh {
    /// Starts it; the last `new` endpoints run v2.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn start(new: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        policies(dir.path(), known_after_seconds)?;
        let origins = Origin::start_many(5).await?;
        let brain = Brain::start(dir.path(), "autonomous").await?;
        let ai = brain.ai_section().replace("caller: web", "caller: internet");
        let mut config = proxy_config(dir.path(), &origins, &ai)?
            .replace("server: {", "server: { trusted_proxies: [\"127.0.0.1/32\"],");
        for origin in origins.iter().rev().take(new) {
            let port = origin.address.port();
            let runs = |version: &str| format!("port: {port}, weight: 100, version: {version}");
            config = config.replace(&runs("v1"), &runs("v2"));
        }
        let proxy = Proxy::start(dir.path(), &config).await?;
        Ok(Self { origins, proxy, brain, _dir: dir })
    }

    /// So many people, `each` requests a second of every one.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub fn people(&self, count: u32, each: u32) -> Result<Load> {
        let addresses: Vec<String> = (1..=count).map(|n| format!("198.51.100.{n}")).collect();
        Load::start_as(&self.proxy.url, count * each, &addresses)
    }

    /// The kind of the first action of this name that the proxy holds, once it does.
    ///
    /// # Errors
    /// When that never comes.
    pub async fn until_lease(&self, kind: &str) -> Result<Value> {
        eventually(&format!("{kind} is held"), Duration::from_secs(40), || async {
            Ok(self.lease(kind).await?.is_some())
        })
        .await
        .with_context(|| self.brain.process.log())?;
        self.lease(kind).await?.context("gone at once")
    }

    /// The same, if it holds one now.
    ///
    /// # Errors
    /// When the proxy does not answer.
    pub async fn lease(&self, kind: &str) -> Result<Option<Value>> {
        let leases = self.proxy.status().await?.leases;
        let found = leases.into_iter().find(|lease| lease.request.kind.name() == kind);
        Ok(found.map(|lease| serde_json::to_value(lease.request.kind)).transpose()?)
    }

    /// Until an action was found to have helped.
    ///
    /// # Errors
    /// With all effects, when none has.
    pub async fn until_helped(&self) -> Result<()> {
        let helped = eventually("it has helped", Duration::from_secs(40), || async {
            Ok(self.brain.records("effect").await?.iter().any(|e| e["effect"]["kind"] == "helped"))
        })
        .await;
        match helped {
            Ok(()) => Ok(()),
            Err(never) => Err(never.context(format!("effects: {:#?}", self.brain.records("effect").await?))),
        }
    }

    /// Until nothing is held any more and the incident is closed.
    ///
    /// # Errors
    /// With the brain's log, when that never comes.
    pub async fn until_over(&self) -> Result<()> {
        eventually("all is given back and the incident closed", Duration::from_secs(90), || async {
            let closed = !self.brain.records("incident_closed").await?.is_empty();
            Ok(closed && self.proxy.status().await?.leases.is_empty())
        })
        .await
        .with_context(|| self.brain.process.log())
    }

    /// Until the brain knows what is usual.
    ///
    /// # Errors
    /// When a healthy mesh fails somebody, or the brain learns nothing.
    pub async fn until_known(&self, load: &Load) -> Result<()> {
        // A machine that stalls for a moment makes endpoints that bear three at once refuse some.
        let well = || async { Ok(load.next(100).await.failed == 0) };
        eventually("a healthy mesh fails nobody", Duration::from_secs(60), well).await?;
        eventually("the usual is known", Duration::from_secs(60), || async {
            let services = self.brain.list("/v1/services").await?;
            Ok(services.iter().any(|s| s["learned_s"].as_u64().unwrap_or(0) >= 21))
        })
        .await
    }
}
