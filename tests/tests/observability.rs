//! What operators see of a proxy, judged by the tools they have: promtool and Prometheus.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use tests::{Behaviour, Load, Origin, Prometheus, Proxy, eventually, promtool, proxy_config};

/// What promtool holds against promised names, which stay all the same: the words stand in the names.
/// The same values stand under names that it finds nothing wrong with, and with
/// `/metrics?names=conventional` alone.
const KNOWN_FINDINGS: [&str; 2] = [
    "proxy_response_time_histogram metric name should not include type 'histogram'",
    "proxy_total_connections counter metrics should have \"_total\" suffix",
];

async fn scraped(proxy: &Proxy, query: &str) -> Result<String> {
    Ok(reqwest::get(format!("{}/metrics{query}", proxy.admin)).await?.text().await?)
}

/// Sends bytes as they are, and reads until the proxy closes the connection.
async fn raw(proxy: &Proxy, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A proxy that has answered, refused, failed and been told a bad configuration.
async fn busy_proxy(dir: &std::path::Path, origins: &[Origin]) -> Result<Proxy> {
    let config = proxy_config(dir, origins, "")?;
    let proxy = Proxy::start(dir, &config).await?;
    reqwest::get(&proxy.url).await?;
    origins[0].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    reqwest::get(&proxy.url).await?;
    let answer = raw(&proxy, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    std::fs::write(dir.join("proxy.yaml"), "nonsense: true")?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 422);
    Ok(proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_with_the_metrics_but_what_two_promised_names_say() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = busy_proxy(dir.path(), &origins).await?;
    for (query, known) in [("", &KNOWN_FINDINGS[..]), ("?names=conventional", &[])] {
        let text = scraped(&proxy, query).await?;
        let judged = promtool(&["check", "metrics"], dir.path(), &text).await?;
        let said = String::from_utf8(judged.stdout)? + std::str::from_utf8(&judged.stderr)?;
        let findings: Vec<&str> = said.lines().collect();
        assert_eq!(findings, known, "{query}");
        assert_eq!(judged.status.success(), known.is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_happened() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = busy_proxy(dir.path(), &origins).await?;
    let text = scraped(&proxy, "").await?;
    let endpoint = origins[0].address;
    for line in [
        "proxy_requests_total 3",
        "proxy_requests_refused_total{reason=\"bad_request\"} 1",
        "proxy_service_requests_total{service=\"cart\",route=\"default\",class=\"2xx\"} 1",
        "proxy_service_requests_total{service=\"cart\",route=\"default\",class=\"5xx\"} 1",
        "proxy_service_response_time_seconds_count{service=\"cart\",route=\"default\"} 2",
        &format!("proxy_backend_failures_total{{service=\"cart\",endpoint=\"{endpoint}\"}} 1"),
        &format!("proxy_backend_errors_total{{service=\"cart\",endpoint=\"{endpoint}\",kind=\"timeout\"}} 0"),
        "proxy_config_reloads_total{result=\"refused\"} 1",
        "proxy_config_last_reload_successful 0",
        "proxy_build_info{version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_complete() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = busy_proxy(dir.path(), &origins).await?;
    let status: serde_json::Value = reqwest::get(format!("{}/status", proxy.admin)).await?.json().await?;
    for promised in ["config_hash", "live_state_hash", "epoch", "frozen", "services", "leases"] {
        assert!(!status[promised].is_null(), "{promised} is promised: {status:#}");
    }
    let endpoint = &status["services"][0]["endpoints"][0];
    for promised in ["health", "weight", "breaker", "in_flight", "version"] {
        assert!(!endpoint[promised].is_null(), "{promised} is promised: {endpoint:#}");
    }
    assert_eq!(status["listeners"]["main"], proxy.process.address("main"));
    assert_eq!(status["listeners"]["admin"], proxy.process.address("admin"));
    assert_eq!(status["connections"]["max"], 10_000);
    assert!(status["connections"]["total"].as_u64() >= Some(3), "{status:#}");
    assert_eq!(
        (&status["reloads"]["refused"], &status["reloads"]["last_was_taken"]),
        (&1.into(), &false.into())
    );
    assert!(status["build"]["version"].is_string() && status["telemetry"]["spans_waiting"].is_null());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_records_and_alerts_by_the_rules_that_ship() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let config = proxy_config(dir.path(), &origins, "circuit_breaker: { enabled: false }\n")?;
    let proxy = Proxy::start(dir.path(), &config).await?;
    let prometheus = Prometheus::start(dir.path(), proxy.process.address("admin")).await?;
    origins[0].behave(Behaviour { failing_percent: 20, ..Behaviour::default() });
    let load = Load::start(&proxy.url, 50)?;
    let within = Duration::from_secs(60);
    let asked = async |expression: &str| prometheus.query(expression).await;
    eventually("the share of errors is recorded", within, async || {
        let ratios = asked("service:proxy_service_errors:ratio_rate5m{service=\"cart\"}").await?;
        Ok(matches!(ratios[..], [ratio] if (0.1..0.3).contains(&ratio)))
    })
    .await?;
    eventually("the p99 is recorded", within, async || {
        let p99 = asked("service:proxy_service_response_time_seconds:p99_5m{service=\"cart\"}").await?;
        Ok(matches!(p99[..], [seconds] if (0.0..10.0).contains(&seconds)))
    })
    .await?;
    let pending = "ALERTS{alertname=\"LightsoutErrorBudgetBurnsFast\", service=\"cart\", severity=\"page\"}";
    eventually("the error budget's alert is pending", within, async || Ok(!asked(pending).await?.is_empty()))
        .await?;
    std::fs::write(dir.path().join("proxy.yaml"), "nonsense: true")?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 422);
    let firing = "ALERTS{alertname=\"LightsoutConfigReloadFailed\", alertstate=\"firing\"}";
    eventually("a configuration that was not taken is told", within, async || {
        Ok(!asked(firing).await?.is_empty())
    })
    .await?;
    std::fs::write(dir.path().join("proxy.yaml"), &config)?;
    assert_eq!(proxy.ask("POST", "/reload", None).await?.0, 200);
    eventually("one that was taken is quiet", within, async || Ok(asked(firing).await?.is_empty())).await?;
    assert!(load.tally().requests > 100);
    Ok(())
}
