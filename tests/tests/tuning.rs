//! What tunes a service rather than taking a part of it away: asked of the brain, agreed to by a person, done by
//! the proxy, seen in what requests get, and undone.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config};

const PATIENCE: Duration = Duration::from_secs(20);

struct Mesh {
    origins: Vec<Origin>,
    brain: Brain,
    proxy: Proxy,
    _load: Load,
    _dir: tempfile::TempDir,
}

/// Four endpoints, the last one of version v2, behind a proxy that retries; every proposal waits for a person.
async fn mesh() -> Result<Mesh> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(4).await?;
    let brain = Brain::start(dir.path(), "advisory").await?;
    let retry =
        "retry: { max_attempts: 3, on: [5xx], backoff_ms: 1, budget: { ratio: 1, min_per_second: 100 } }\n";
    let mut config = proxy_config(dir.path(), &origins, &format!("{}{retry}", brain.ai_section()))?;
    for origin in &origins[3..] {
        let runs =
            |version: &str| format!("port: {}, weight: 100, version: {version}", origin.address.port());
        config = config.replace(&runs("v1"), &runs("v2"));
    }
    let proxy = Proxy::start(dir.path(), &config).await?;
    let load = Load::start(&proxy.url, 20)?;
    load.next(60).await;
    Ok(Mesh { origins, brain, proxy, _load: load, _dir: dir })
}

impl Mesh {
    /// Asks the brain for `kind`, agrees to it, and waits until the proxy holds it; the action's id.
    async fn done(&self, kind: &Value) -> Result<String> {
        let token = self.brain.token()?;
        let body = json!({ "service": "cart", "kind": kind, "lease_ms": 30_000, "reason": "drill" });
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/v1/actions", self.brain.api)).bearer_auth(&token);
        let answer: Value = request.json(&body).send().await?.json().await?;
        ensure!(answer["verdict"] == "ask", "{kind}: {answer}");
        let proposal = answer["proposal"].as_str().context("no proposal")?;
        ensure!(self.proxy.status().await?.leases.is_empty(), "{kind} is done before anybody agreed");
        self.brain.operator(&["approve", proposal, "--reason", "drill"]).await?;
        eventually(&format!("the proxy holds {kind}"), PATIENCE, || async {
            let leases = self.proxy.status().await?.leases;
            Ok(leases.iter().any(|l| serde_json::to_value(&l.request.kind).is_ok_and(|held| held == *kind)))
        })
        .await?;
        let actions = self.brain.list("/v1/actions").await?;
        actions[0]["id"].as_str().map(str::to_owned).context("an action without id")
    }

    async fn undone(&self, action: &str) -> Result<()> {
        self.brain.operator(&["undo", action]).await?;
        eventually("it is undone", PATIENCE, || async { Ok(self.proxy.status().await?.leases.is_empty()) })
            .await
    }

    /// The statuses of so many requests, one after the other.
    async fn statuses(&self, count: usize) -> Result<Vec<u16>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(reqwest::get(&self.proxy.url).await?.status().as_u16());
        }
        Ok(all)
    }

    /// The statuses of so many requests, all at once.
    async fn at_once(&self, count: usize) -> Result<Vec<u16>> {
        let client = reqwest::Client::new();
        let ask = async || anyhow::Ok(client.get(&self.proxy.url).send().await?.status().as_u16());
        futures_util::future::try_join_all((0..count).map(|_| ask())).await
    }

    fn behave(&self, behaviour: Behaviour) {
        self.origins.iter().for_each(|origin| origin.behave(behaviour));
    }

    async fn algorithm(&self) -> Result<String> {
        let status = self.proxy.status().await?;
        status.services.first().map(|s| s.algorithm.clone()).context("no service")
    }

    /// The audit's whole story of an action: intended, taken, undone, let go by the proxy.
    async fn is_proved(&self, action: &str) -> Result<()> {
        eventually(&format!("the story of {action} is whole"), PATIENCE, || async {
            let records = self.brain.list("/v1/audit?limit=1000").await?;
            let mine = records.iter().filter(|r| r["action"] == action);
            let told: Vec<&str> = mine.filter_map(|r| r["kind"].as_str()).collect();
            Ok(["intent", "receipt", "undo", "action_ended"].iter().all(|kind| told.contains(kind)))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_each_client_until_it_is_undone() -> Result<()> {
    let mesh = mesh().await?;
    // Above what is usually asked: the guard refuses a limit that turns usual clients away.
    let action = mesh.done(&json!({ "type": "limit_rate", "key": "ip", "rps": 40.0, "burst": 5 })).await?;
    let refused = mesh.at_once(80).await?.iter().filter(|status| **status == 429).count();
    ensure!(refused >= 40, "{refused} of 80 were refused");
    mesh.undone(&action).await?;
    ensure!(mesh.at_once(80).await?.iter().all(|status| *status == 200));
    mesh.is_proved(&action).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_timeout_is_the_services_until_it_is_undone() -> Result<()> {
    let mesh = mesh().await?;
    let action = mesh.done(&json!({ "type": "set_timeout", "request_timeout_ms": 300 })).await?;
    mesh.behave(Behaviour { delay: Duration::from_secs(4), ..Behaviour::default() });
    let asked = Instant::now();
    ensure!(mesh.statuses(1).await? == [504]);
    ensure!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    mesh.undone(&action).await?;
    ensure!(mesh.statuses(1).await? == [200], "late is not too late any more");
    mesh.is_proved(&action).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_retry_budget_lets_failures_through_until_it_is_undone() -> Result<()> {
    let mesh = mesh().await?;
    mesh.origins[0].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    ensure!(mesh.statuses(40).await?.iter().all(|status| *status == 200), "a retry hides the bad one");
    let action = mesh.done(&json!({ "type": "set_retry_budget", "ratio": 0.01, "max_attempts": 1 })).await?;
    let failed = mesh.statuses(40).await?.iter().filter(|status| **status == 500).count();
    ensure!((5..=15).contains(&failed), "{failed} of 40 met the bad one of four");
    mesh.undone(&action).await?;
    ensure!(mesh.statuses(40).await?.iter().all(|status| *status == 200));
    mesh.is_proved(&action).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_algorithm_is_the_services_until_it_is_undone() -> Result<()> {
    let mesh = mesh().await?;
    let before = mesh.algorithm().await?;
    let action = mesh.done(&json!({ "type": "set_algorithm", "algorithm": "random" })).await?;
    ensure!(mesh.algorithm().await? == "random" && before != "random", "{before}");
    mesh.undone(&action).await?;
    ensure!(mesh.algorithm().await? == before);
    mesh.is_proved(&action).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_rolled_back_gets_nothing_until_that_is_undone() -> Result<()> {
    let mesh = mesh().await?;
    let action = mesh.done(&json!({ "type": "rollback_canary", "version": "v2" })).await?;
    let before = mesh.origins[3].requests();
    ensure!(mesh.statuses(40).await?.iter().all(|status| *status == 200));
    let after = mesh.origins[3].requests();
    ensure!(after == before, "{} requests met it", after - before);
    mesh.undone(&action).await?;
    mesh.statuses(40).await?;
    ensure!(mesh.origins[3].requests() > after, "it has its share again");
    mesh.is_proved(&action).await
}
