//! How often clients may ask, over real processes: by the file, by a lease, over all workers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tests::{Origin, Proxy, eventually, proxy_config};

async fn proxy_with(more: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let origins = Origin::start_many(1).await?;
    let dir = tempfile::tempdir()?;
    let config = proxy_config(dir.path(), &origins, more)?;
    let config = config.replace("workers: 2", "workers: 4, trusted_proxies: [127.0.0.1]");
    Ok((Proxy::start(dir.path(), &config).await?, origins, dir))
}

/// Each over a connection of its own, so that the kernel spreads them over the workers.
async fn ask(url: &str, field: (&str, &str)) -> Result<Response> {
    Ok(Client::builder().pool_max_idle_per_host(0).build()?.get(url).header(field.0, field.1).send().await?)
}

async fn statuses(url: &str, count: usize, field: (&str, &str)) -> Vec<u16> {
    let all = join_all((0..count).map(|_| ask(url, field))).await;
    all.into_iter().map(|answer| answer.map_or(0, |answer| answer.status().as_u16())).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|other| **other == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_passes_and_no_request_more_over_all_workers() -> Result<()> {
    let limit =
        "rate_limit: { headers: ietf, rules: [ { name: per-client, key: ip, requests: 20, per: hour } ] }\n";
    let (proxy, origins, _dir) = proxy_with(limit).await?;
    let one = statuses(&proxy.url, 80, ("x-forwarded-for", "203.0.113.1")).await;
    ensure!((count(&one, 200), count(&one, 429)) == (20, 60), "{one:?}");
    let other = ask(&proxy.url, ("x-forwarded-for", "203.0.113.2")).await?;
    ensure!(other.status() == 200, "another client has a bucket of its own");
    ensure!(other.headers()["ratelimit-policy"] == "\"per-client\";q=20;w=3600", "{other:?}");
    ensure!(other.headers()["ratelimit"] == "\"per-client\";r=19;t=180", "{other:?}");
    let refused = ask(&proxy.url, ("x-forwarded-for", "203.0.113.1")).await?;
    let wait: u64 = refused.headers()["retry-after"].to_str()?.parse()?;
    ensure!((1..=180).contains(&wait), "{refused:?}");
    ensure!(refused.headers()["content-type"] == "application/problem+json", "{refused:?}");
    ensure!(origins[0].requests() == 21);
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    for line in [
        "proxy_rate_limited_total{rule=\"per-client\",result=\"refused\"} 61\n",
        "proxy_requests_refused_total{reason=\"rate_limited\"} 61\n",
    ] {
        ensure!(metrics.contains(line), "{metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_a_second_are_a_hundred_a_second_however_many_workers_there_are() -> Result<()> {
    let limit = "rate_limit: { rules: [ { key: global, requests: 100, burst: 10 } ] }\n";
    let (proxy, origins, _dir) = proxy_with(limit).await?;
    let (began, mut asked) = (Instant::now(), 0.0);
    while began.elapsed() < Duration::from_secs(3) {
        // No more at once than the burst: what is left unasked meanwhile is not had later.
        asked += statuses(&proxy.url, 10, ("x-a", "1")).await.len() as f64;
    }
    let most = 10.0 + 100.0 * began.elapsed().as_secs_f64();
    let served = origins[0].requests() as f64;
    // As many as were asked: a machine that is too slow to ask so often proves nothing against the limit.
    ensure!(served <= most + 1.0, "{served} of at most {most}");
    ensure!(served >= 0.7 * most.min(asked), "{served} of {asked}, at most {most}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_a_route_and_a_service_have_buckets_of_their_own() -> Result<()> {
    let more = "rate_limit:\n  headers: x_ratelimit\n  rules:\n    \
                - { name: key, key: \"header:x-api-key\", requests: 2, per: hour }\n    \
                - { name: narrow, key: route, requests: 3, per: hour, routes: [slow] }\n    \
                - { name: all, key: service, requests: 9, per: hour }\n\
                routes:\n  - { name: slow, path: { prefix: /slow }, split: [ { service: cart } ] }\n  \
                - { name: rest, split: [ { service: cart } ] }\n";
    let (proxy, origins, _dir) = proxy_with(more).await?;
    let key = statuses(&proxy.url, 4, ("x-api-key", "a")).await;
    ensure!((count(&key, 200), count(&key, 429)) == (2, 2), "{key:?}");
    let slow = statuses(&format!("{}/slow", proxy.url), 5, ("x-a", "1")).await;
    ensure!((count(&slow, 200), count(&slow, 429)) == (3, 2), "{slow:?}");
    let rest = statuses(&proxy.url, 8, ("x-a", "1")).await;
    ensure!((count(&rest, 200), count(&rest, 429)) == (4, 4), "the service's nine are spent: {rest:?}");
    ensure!(origins[0].requests() == 9);
    let refused = ask(&proxy.url, ("x-a", "1")).await?;
    ensure!(
        (&refused.headers()["x-ratelimit-limit"], &refused.headers()["x-ratelimit-remaining"])
            == (&"9".parse()?, &"0".parse()?)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_refuses_nobody_and_counts_whom_it_would_have() -> Result<()> {
    let limit = "rate_limit: { headers: ietf, rules: [ { name: dry, key: ip, requests: 1, per: hour, dry_run: true } ] }\n";
    let (proxy, _origins, _dir) = proxy_with(limit).await?;
    let all = statuses(&proxy.url, 5, ("x-a", "1")).await;
    ensure!(count(&all, 200) == 5, "{all:?}");
    let answer = ask(&proxy.url, ("x-a", "1")).await?;
    ensure!(!answer.headers().contains_key("ratelimit"), "what does not hold is not told: {answer:?}");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    ensure!(metrics.contains("proxy_rate_limited_total{rule=\"dry\",result=\"spared\"} 5\n"), "{metrics}");
    Ok(())
}

fn limit(key: &str, rps: f64, burst: u32, lease_ms: u64) -> Value {
    json!({
        "epoch": 1, "lease_ms": lease_ms, "service": "cart", "reason": "test", "confidence": 0.9,
        "issued_by": "test", "kind": { "type": "limit_rate", "key": key, "rps": rps, "burst": burst },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_limit_holds_until_it_is_undone_or_ends_by_itself() -> Result<()> {
    let (proxy, _origins, _dir) = proxy_with("").await?;
    let untouched = proxy.status().await?.live_state_hash;
    let abuser = ("x-forwarded-for", "203.0.113.66");
    let (status, receipt) = proxy.ask("PUT", "/v1/actions/l-1", Some(&limit("ip", 1.0, 2, 60_000))).await?;
    ensure!(status == 200, "{receipt}");
    let limited = statuses(&proxy.url, 20, abuser).await;
    ensure!((2..=4).contains(&count(&limited, 200)) && count(&limited, 429) >= 16, "{limited:?}");
    let other = statuses(&proxy.url, 2, ("x-forwarded-for", "203.0.113.67")).await;
    ensure!(count(&other, 200) == 2, "others are not touched: {other:?}");
    ensure!(proxy.ask("DELETE", "/v1/actions/l-1?epoch=1", None).await?.0 == 200);
    ensure!(proxy.status().await?.live_state_hash == untouched);
    let free = statuses(&proxy.url, 20, abuser).await;
    ensure!(count(&free, 200) == 20, "{free:?}");
    ensure!(proxy.ask("PUT", "/v1/actions/l-2", Some(&limit("route", 1.0, 1, 1_000))).await?.0 == 200);
    ensure!(count(&statuses(&proxy.url, 10, abuser).await, 429) >= 8);
    eventually("the lease is gone", Duration::from_secs(5), || async {
        Ok(proxy.status().await?.live_state_hash == untouched)
    })
    .await?;
    ensure!(count(&statuses(&proxy.url, 10, abuser).await, 200) == 10);
    for (key, rps, burst) in [("user", 5.0, 5), ("header:", 5.0, 5), ("ip", 0.1, 5), ("ip", 5.0, 0)] {
        let (status, why) = proxy.ask("PUT", "/v1/actions/l-3", Some(&limit(key, rps, burst, 5_000))).await?;
        ensure!(status == 422, "{key} {rps} {burst}: {why}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_by_grpc_too_often_is_told_in_its_own_words() -> Result<()> {
    let limit = "rate_limit: { rules: [ { key: ip, requests: 1, per: hour } ] }\n";
    let (proxy, _origins, _dir) = proxy_with(limit).await?;
    let call = || {
        let client = Client::new().post(format!("{}/shop.Cart/Add", proxy.url));
        client.header("content-type", "application/grpc").body("").send()
    };
    call().await?;
    let refused = call().await?;
    ensure!(refused.status() == 200 && refused.headers()["grpc-status"] == "8", "{refused:?}");
    ensure!(refused.headers().contains_key("retry-after"), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_refused_or_alone_let_in_and_a_changed_file_is_a_reload() -> Result<()> {
    let origins = Origin::start_many(1).await?;
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("denied"), "203.0.113.0/28 # a botnet\n2001:db8::/32\n")?;
    let lists = "security: { ip_lists: { deny_file: denied, allow: [203.0.113.0/24, 127.0.0.1, \"2001:db8::/16\"] } }\n";
    let config = proxy_config(dir.path(), &origins, lists)?;
    let config = config.replace("workers: 2", "trusted_proxies: [127.0.0.1]");
    let proxy = Proxy::start(dir.path(), &config).await?;
    let of = |ip: &'static str| {
        let url = proxy.url.clone();
        async move { Ok::<u16, anyhow::Error>(ask(&url, ("x-forwarded-for", ip)).await?.status().as_u16()) }
    };
    for (ip, status) in [
        ("203.0.113.15", 403),
        ("203.0.113.16", 200),
        ("198.51.100.1", 403),
        ("2001:db8::1", 403),
        ("2001:dbff::1", 200),
    ] {
        ensure!(of(ip).await? == status, "{ip}");
    }
    std::fs::write(dir.path().join("denied"), "203.0.113.16\n")?;
    let (status, answer) = proxy.ask("POST", "/reload", None).await?;
    ensure!(status == 200, "{answer}");
    ensure!((of("203.0.113.15").await?, of("203.0.113.16").await?) == (200, 403));
    std::fs::write(dir.path().join("denied"), "203.0.113.16\nnonsense\n")?;
    let (status, answer) = proxy.ask("POST", "/reload", None).await?;
    ensure!(status != 200 && answer.to_string().contains("line 2"), "{answer}");
    ensure!(of("203.0.113.16").await? == 403, "a bad file changes nothing");
    Ok(())
}
