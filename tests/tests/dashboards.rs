//! A dashboard that asks for a metric nobody exports shows an empty panel at 3 a.m.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use anyhow::Result;
use tests::{Origin, Proxy, proxy_config};

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_on_the_dashboard_is_exported_by_a_live_proxy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    reqwest::get(&proxy.url).await?;
    let exported = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/proxies.json");
    let dashboard = std::fs::read_to_string(path)?;
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let asked: Vec<&str> = dashboard.split(word).filter(|w| w.starts_with("proxy_")).collect();
    assert!(asked.len() >= 8, "{asked:?}");
    for metric in asked {
        assert!(exported.contains(metric), "{metric} is on the dashboard and nowhere else");
    }
    Ok(())
}
