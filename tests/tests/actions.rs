//! The action API: what a proxy takes, what it refuses, and that it lets go by itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tests::{Origin, Proxy, eventually, proxy_config};

async fn proxy_with(origins: &[Origin]) -> Result<(Proxy, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), origins, "")?).await?;
    Ok((proxy, dir))
}

fn eject(origin: &Origin, epoch: u64, lease_ms: u64) -> Value {
    json!({
        "epoch": epoch, "lease_ms": lease_ms, "service": "cart", "reason": "test", "confidence": 0.9,
        "issued_by": "test", "kind": { "type": "eject_endpoint", "endpoint": origin.address.to_string() },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ejected_endpoint_gets_nothing_until_its_lease_ends_by_itself() -> Result<()> {
    let origins = Origin::start_many(4).await?;
    let (proxy, _dir) = proxy_with(&origins).await?;
    let before = proxy.status().await?.live_state_hash;
    let (status, receipt) = proxy.ask("PUT", "/v1/actions/a-1", Some(&eject(&origins[1], 1, 2_000))).await?;
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt["live_state_hash_before"], before);
    assert_ne!(receipt["live_state_hash_after"], before);
    for _ in 0..40 {
        assert_eq!(reqwest::get(&proxy.url).await?.status(), 200);
    }
    assert_eq!(origins[1].requests(), 0);
    let (_, again) = proxy.ask("PUT", "/v1/actions/a-1", Some(&eject(&origins[1], 1, 2_000))).await?;
    assert_eq!(again, receipt, "the same PUT is answered with the same receipt");
    let expires: jiff::Timestamp = receipt["expires_at"].as_str().unwrap().parse()?;
    eventually("the lease is gone", Duration::from_secs(5), || async {
        Ok(proxy.status().await?.leases.is_empty())
    })
    .await?;
    let late_ms = jiff::Timestamp::now().as_millisecond() - expires.as_millisecond();
    assert!((0..=1_000).contains(&late_ms), "the lease ended {late_ms} ms after it should");
    assert_eq!(proxy.status().await?.live_state_hash, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_show_the_token_changes_nothing() -> Result<()> {
    let origins = Origin::start_many(2).await?;
    let (proxy, _dir) = proxy_with(&origins).await?;
    let before = proxy.status().await?;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/actions/a-1", proxy.admin);
    let body = eject(&origins[0], 1, 5_000);
    assert_eq!(client.put(&url).json(&body).send().await?.status(), 401);
    assert_eq!(client.put(&url).bearer_auth("wrong").json(&body).send().await?.status(), 401);
    for write in ["/freeze", "/drain", "/reload"] {
        assert_eq!(client.post(format!("{}{write}", proxy.admin)).send().await?.status(), 401, "{write}");
    }
    assert_eq!(client.get(format!("{}/v1/actions", proxy.admin)).send().await?.status(), 401);
    let after = proxy.status().await?;
    assert_eq!((after.live_state_hash, after.epoch), (before.live_state_hash, before.epoch));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_epoch_is_refused_even_after_a_restart() -> Result<()> {
    let origins = Origin::start_many(4).await?;
    let dir = tempfile::tempdir()?;
    let config = proxy_config(dir.path(), &origins, "")?;
    let proxy = Proxy::start(dir.path(), &config).await?;
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-1", Some(&eject(&origins[0], 7, 60_000))).await?.0, 200);
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-2", Some(&eject(&origins[1], 6, 60_000))).await?.0, 409);
    assert_eq!(
        proxy.ask("POST", "/v1/actions/a-1/renew", Some(&json!({"epoch": 6, "lease_ms": 5_000}))).await?.0,
        409
    );
    assert_eq!(proxy.ask("DELETE", "/v1/actions/a-1?epoch=6", None).await?.0, 409);
    proxy.process.signal(nix::sys::signal::Signal::SIGKILL)?;
    drop(proxy);
    let proxy = Proxy::start(dir.path(), &config).await?;
    let status = proxy.status().await?;
    assert_eq!((status.epoch.0, status.leases.len()), (7, 0), "the epoch survives, leases do not");
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-2", Some(&eject(&origins[1], 6, 60_000))).await?.0, 409);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_a_version_without_endpoints_is_carried_by_the_others() -> Result<()> {
    let origins = Origin::start_many(2).await?;
    let dir = tempfile::tempdir()?;
    let split = "routes:\n  - split:\n    - { service: cart, version: v1, weight: 9 }\n    \
                 - { service: cart, version: v2, weight: 1 }\n";
    let config = proxy_config(dir.path(), &origins, split)?;
    let second = format!("port: {}, weight: 100, version: v", origins[1].address.port());
    let config = config.replace(&format!("{second}1"), &format!("{second}2"));
    let proxy = Proxy::start(dir.path(), &config).await?;
    let kinds = [
        json!({ "type": "eject_endpoint", "endpoint": origins[1].address.to_string() }),
        json!({ "type": "trip_breaker", "endpoint": origins[1].address.to_string() }),
        json!({ "type": "set_weights", "weights": { "version:v2": 0 } }),
    ];
    for kind in kinds {
        let mut body = eject(&origins[1], 1, 60_000);
        body["kind"] = kind;
        assert_eq!(proxy.ask("PUT", "/v1/actions/a", Some(&body)).await?.0, 200, "{body}");
        let before = origins[1].requests();
        for _ in 0..20 {
            assert_eq!(reqwest::get(&proxy.url).await?.status(), 200, "{body}");
        }
        assert_eq!(origins[1].requests(), before);
        assert_eq!(proxy.ask("DELETE", "/v1/actions/a?epoch=1", None).await?.0, 200);
    }
    // Over one connection: each worker counts its own tenth, and which of them takes a connection is chance.
    let client = reqwest::Client::new();
    for _ in 0..20 {
        let response = client.get(&proxy.url).send().await?;
        assert_eq!(response.status(), 200);
        // Read whole: else the connection is not used again.
        response.bytes().await?;
    }
    assert_eq!(origins[1].requests(), 2, "after the undo its share is its own again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_actions_are_counted_and_the_log_stays_short() -> Result<()> {
    let origins = Origin::start_many(2).await?;
    let (proxy, dir) = proxy_with(&origins).await?;
    for _ in 0..50 {
        assert_eq!(proxy.ask("PUT", "/v1/actions/a", Some(&json!({}))).await?.0, 422);
    }
    let beyond = eject(&origins[0], (1 << 53) + 1, 60_000);
    assert_eq!(proxy.ask("PUT", "/v1/actions/a", Some(&beyond)).await?.0, 422, "no epoch ends all others");
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    assert!(metrics.contains("proxy_actions_refused_total 51\n"), "{metrics}");
    let logs =
        std::fs::read_dir(dir.path())?.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let lines = logs.map(|log| log.matches("refused: PUT").count()).sum::<usize>();
    assert!((1..=5).contains(&lines), "{lines} lines");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_holds_over_all_leases_together() -> Result<()> {
    let origins = Origin::start_many(4).await?;
    let (proxy, _dir) = proxy_with(&origins).await?;
    for (n, origin) in origins.iter().take(2).enumerate() {
        assert_eq!(
            proxy.ask("PUT", &format!("/v1/actions/a-{n}"), Some(&eject(origin, 1, 60_000))).await?.0,
            200
        );
    }
    let held = proxy.status().await?.live_state_hash;
    let beyond = [
        json!({ "type": "eject_endpoint", "endpoint": origins[2].address.to_string() }),
        json!({ "type": "trip_breaker", "endpoint": origins[2].address.to_string() }),
        json!({ "type": "set_weights", "weights": { origins[2].address.to_string(): 0 } }),
        json!({ "type": "set_weights", "weights": { "version:v1": 0 } }),
        json!({ "type": "shed_load", "fraction": 0.95 }),
        json!({ "type": "block_ips", "cidrs": ["10.0.0.0/23"] }),
        json!({ "type": "block_ips", "cidrs": ["::ffff:10.0.0.0/118"] }),
        json!({ "type": "block_ips", "cidrs": ["2001:db8::/47"] }),
        json!({ "type": "eject_endpoint", "endpoint": "127.0.0.1:1" }),
        json!({ "type": "eject_endpoint", "endpoint": origins[2].address.to_string(), "force": true }),
    ];
    for kind in beyond {
        let mut body = eject(&origins[2], 1, 60_000);
        body["kind"] = kind;
        let (status, why) = proxy.ask("PUT", "/v1/actions/beyond", Some(&body)).await?;
        assert_eq!(status, 422, "{body}: {why}");
        assert!(!why["detail"].as_str().unwrap_or_default().is_empty(), "{why}");
    }
    for lease_ms in [999, 3_600_001] {
        assert_eq!(proxy.ask("PUT", "/v1/actions/b", Some(&eject(&origins[0], 1, lease_ms))).await?.0, 422);
    }
    assert_eq!(proxy.status().await?.live_state_hash, held, "a refused action changes nothing");
    assert_eq!(proxy.ask("DELETE", "/v1/actions/a-0?epoch=1", None).await?.0, 200);
    assert_eq!(proxy.ask("DELETE", "/v1/actions/a-0?epoch=1", None).await?.0, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_proxy_drops_every_lease_and_takes_none() -> Result<()> {
    let origins = Origin::start_many(4).await?;
    let (proxy, _dir) = proxy_with(&origins).await?;
    let untouched = proxy.status().await?.live_state_hash;
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-1", Some(&eject(&origins[0], 1, 60_000))).await?.0, 200);
    assert_eq!(proxy.ask("POST", "/freeze", None).await?.0, 200);
    let status = proxy.status().await?;
    assert!(status.frozen && status.leases.is_empty());
    assert_eq!(status.live_state_hash, untouched);
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-2", Some(&eject(&origins[0], 1, 60_000))).await?.0, 423);
    assert_eq!(proxy.ask("POST", "/unfreeze", None).await?.0, 200);
    assert_eq!(proxy.ask("PUT", "/v1/actions/a-2", Some(&eject(&origins[0], 1, 60_000))).await?.0, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_this_build_takes_effect_and_is_undone_by_removal() -> Result<()> {
    let origins = Origin::start_many(4).await?;
    let (proxy, _dir) = proxy_with(&origins).await?;
    let untouched = proxy.status().await?.live_state_hash;
    let first = origins[0].address.to_string();
    let kinds = [
        json!({ "type": "set_weights", "weights": { first.clone(): 50 } }),
        json!({ "type": "eject_endpoint", "endpoint": first.clone() }),
        json!({ "type": "trip_breaker", "endpoint": first.clone() }),
        json!({ "type": "reset_breaker", "endpoint": first }),
        json!({ "type": "block_ips", "cidrs": ["127.0.0.1/32"] }),
        json!({ "type": "shed_load", "fraction": 0.9 }),
    ];
    for kind in kinds {
        let name = kind["type"].as_str().unwrap().to_owned();
        let mut body = eject(&origins[0], 1, 60_000);
        body["kind"] = kind;
        let (status, answer) = proxy.ask("PUT", &format!("/v1/actions/{name}"), Some(&body)).await?;
        assert_eq!(status, 200, "{answer}");
        let before = origins[0].requests();
        let mut refused = 0;
        for _ in 0..40 {
            refused += u32::from(reqwest::get(&proxy.url).await?.status() != 200);
        }
        let got = origins[0].requests() - before;
        match name.as_str() {
            "eject_endpoint" | "trip_breaker" => assert_eq!((got, refused), (0, 0), "{name}"),
            "set_weights" => assert!((5..=6).contains(&got) && refused == 0, "{got} of 40"),
            "block_ips" => assert_eq!(refused, 40),
            "shed_load" => assert!(refused >= 25, "{refused} of 40 were shed"),
            _ => assert_eq!((got, refused), (10, 0), "{name}"),
        }
        let (status, _) = proxy.ask("DELETE", &format!("/v1/actions/{name}?epoch=1"), None).await?;
        assert_eq!(status, 200);
        assert_eq!(proxy.status().await?.live_state_hash, untouched, "{name} is undone by removal");
    }
    Ok(())
}
