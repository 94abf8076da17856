//! Weights before a surge: with a load that is forecast, an endpoint that answers slower than its siblings gets less of
//! what comes, as a lease that says why.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, policies, proxy_config};

const PATIENCE: Duration = Duration::from_secs(60);
const RPS: u32 = 100;
const CONFIG: &str = "policies_dir: policies\n";
/// The rule that ships as a comment; as sure of what helps as to be asked about.
const RULES: &str = "version: 1
rules: []
ahead:
  - name: shift-ahead-of-surge
    when: { times: 1.3, min_confidence: 0.7 }
    propose: { action: set_weights, slower: 1.15, at_least: 0.5, lease_ms: 600000 }
    helps: 0.7
";

/// The share of `origin` in the next requests.
async fn share(origin: &Origin, load: &Load) -> f64 {
    let before = origin.requests();
    let requests = load.next(1_000).await.requests;
    (origin.requests() - before) as f64 / requests as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slower_endpoint_gets_less_of_a_load_that_is_forecast_until_that_is_undone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    policies(dir.path(), |file, text| if file == "rules.yaml" { RULES.to_owned() } else { text })?;
    let origins = Origin::start_many(4).await?;
    for (n, origin) in origins.iter().enumerate() {
        // Slower, and not yet so slow that it is ill.
        let delay = Duration::from_millis(if n == 0 { 78 } else { 60 });
        origin.behave(Behaviour { delay, ..Behaviour::default() });
    }
    let brain = Brain::start_on(dir.path(), "autonomous", (0, 0), CONFIG).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, &brain.ai_section())?).await?;
    let load = Load::start(&proxy.url, RPS)?;
    let brain = brain.after_an_hour_of_growth(RPS, "autonomous", CONFIG).await?;
    let proposed = async || {
        let proposals = brain.list("/v1/proposals").await?;
        Ok::<_, anyhow::Error>(proposals.into_iter().find(|p| p["action"]["kind"]["type"] == "set_weights"))
    };
    eventually("other weights are proposed", PATIENCE, async || Ok(proposed().await?.is_some())).await?;
    let proposal = proposed().await?.context("it is gone")?;
    ensure!(proposal["evidence"][0]["signal"] == "forecast", "{proposal}");
    ensure!(proposal["state"] == "pending" && proxy.status().await?.leases.is_empty(), "{proposal}");
    ensure!((0.235..0.265).contains(&share(&origins[0], &load).await), "as configured until a person agrees");

    brain.operator(&["approve", proposal["id"].as_str().context("no id")?]).await?;
    let leased = async || Ok(!proxy.status().await?.leases.is_empty());
    eventually("the proxy holds the lease", PATIENCE, leased).await?;
    let less = share(&origins[0], &load).await;
    ensure!((0.18..0.23).contains(&less), "60 / 78 of a share, among four, are 0.204: {less}");
    let table = brain.operator(&["actions"]).await?;
    ensure!(table.contains("cart"), "{table}");

    let actions: Vec<Value> = brain.list("/v1/actions").await?;
    brain.operator(&["undo", actions[0]["id"].as_str().context("no action")?]).await?;
    let gone = async || Ok(proxy.status().await?.leases.is_empty());
    eventually("the lease is gone", PATIENCE, gone).await?;
    let again = share(&origins[0], &load).await;
    ensure!((0.235..0.265).contains(&again), "a quarter: {again}");
    Ok(())
}
