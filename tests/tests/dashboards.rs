//! A dashboard that asks for a metric nobody exports shows an empty panel at 3 a.m., and a rule that cannot be
//! read wakes nobody.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;
use tests::{Origin, Proxy, promtool, proxy_config};

/// What stands in Grafana's expressions for a time; Prometheus alone does not know it.
const RATE_INTERVAL: &str = "$__rate_interval";

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().replace(RATE_INTERVAL, "1m")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_on_the_dashboard_and_in_the_rules_is_exported_by_a_live_proxy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    // What is exported only where it is configured is configured.
    let more = "limits: { max_requests: 1000 }\nobservability:\n  access_log: { enabled: true, path: access.log }\n  \
                tracing: { endpoint: \"http://127.0.0.1:9\" }\n";
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, more)?).await?;
    reqwest::get(&proxy.url).await?;
    let exported = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    for file in ["proxies.json", "rules/recording.yml", "rules/alerts.yml"] {
        let text = std::fs::read_to_string(dashboards().join(file))?;
        // A recorded name has colons; what stands between them is no metric.
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
        let words = text.split(word).map(|w| w.trim_matches(':'));
        let asked: BTreeSet<&str> = words.filter(|w| w.starts_with("proxy_")).collect();
        assert!(asked.len() >= 4, "{file}: {asked:?}");
        for metric in asked {
            assert!(exported.contains(metric), "{metric} is asked for in {file} and exported nowhere");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_on_the_dashboard_is_promql() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dashboard: Value = serde_json::from_slice(&std::fs::read(dashboards().join("proxies.json"))?)?;
    let expressions = expressions(&dashboard);
    assert!(expressions.len() >= 25, "{}", expressions.len());
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (n, expression) in expressions.iter().enumerate() {
        writeln!(rules, "      - {{ record: \"panel:{n}\", expr: {} }}", Value::from(expression.as_str()))?;
    }
    std::fs::write(dir.path().join("dashboard.yml"), &rules)?;
    let judged = promtool(&["check", "rules", "dashboard.yml"], dir.path(), "").await?;
    assert!(judged.status.success(), "{}\n{rules}", String::from_utf8_lossy(&judged.stderr));
    let ids: BTreeSet<_> = dashboard["panels"].as_array().unwrap().iter().map(|p| p["id"].as_u64()).collect();
    assert_eq!(Some(ids.len()), dashboard["panels"].as_array().map(Vec::len), "ids are there once each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_rules_and_do_what_their_tests_say() -> Result<()> {
    for arguments in [
        &["check", "rules", "rules/recording.yml", "rules/alerts.yml"][..],
        &["test", "rules", "rules/tests/alerts.yml"],
    ] {
        let judged = promtool(arguments, &dashboards(), "").await?;
        let said = [judged.stdout, judged.stderr].concat();
        assert!(judged.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
