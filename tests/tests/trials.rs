//! Ways to a version on trial, through a real proxy: by asking for it, and as copies.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tests::{Origin, Proxy, eventually, proxy_config};

struct Stage {
    _dir: tempfile::TempDir,
    origins: Vec<Origin>,
    proxy: Proxy,
    client: reqwest::Client,
}

impl Stage {
    /// `cart` with one endpoint of v1 and one of v2, which the file gives nothing.
    async fn set(routes: &str) -> Result<Self> {
        let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
        let port = origins[1].address.port();
        let text = proxy_config(dir.path(), &origins, routes)?.replace(
            &format!("port: {port}, weight: 100, version: v1"),
            &format!("port: {port}, weight: 0, version: v2"),
        );
        // One worker: it takes turns of its own, over however many connections a client asks.
        let proxy = Proxy::start(dir.path(), &text.replace("workers: 2", "workers: 1")).await?;
        Ok(Self { _dir: dir, origins, proxy, client: reqwest::Client::builder().no_proxy().build()? })
    }

    async fn put(&self, id: &str, kind: Value) -> Result<(u16, Value)> {
        let body = json!({ "epoch": 1, "lease_ms": 60_000, "service": "cart", "kind": kind });
        let (status, answer) = self.proxy.ask("PUT", &format!("/v1/actions/{id}"), Some(&body)).await?;
        Ok((status.as_u16(), answer))
    }

    /// The version that answers a request with this header.
    async fn asked(&self, name: &str, value: &str) -> Result<usize> {
        let before: Vec<u64> = self.origins.iter().map(Origin::requests).collect();
        let answer = self.client.get(&self.proxy.url).header(name, value).send().await?;
        assert_eq!(answer.status(), 200);
        let version = self.origins.iter().zip(before).position(|(origin, n)| origin.requests() > n);
        Ok(version.unwrap() + 1)
    }
}

fn trial(more: Value) -> Value {
    let mut kind = json!({ "type": "set_canary_weight", "stable": "v1", "canary": "v2", "weight": 0 });
    kind.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_version_on_trial_gets_it_and_nobody_else() -> Result<()> {
    for routes in
        ["", "routes: [ { name: all, cohort: { key: 'header:x-user' }, split: [ { service: cart } ] } ]\n"]
    {
        let stage = Stage::set(routes).await?;
        assert_eq!(stage.asked("x-preview", "please").await?, 1, "nothing is on trial");
        let preview = |key: &str| trial(json!({ "preview": { "key": key, "value": "please" } }));
        assert_eq!(stage.put("a", preview("header:x-preview")).await?.0, 200);
        for (name, value, version) in [
            ("x-preview", "please", 2),
            ("x-preview", "no", 1),
            ("x-other", "please", 1),
            ("x-preview", "please", 2),
        ] {
            assert_eq!(stage.asked(name, value).await?, version, "{routes} {name}: {value}");
        }
        // The later lease says who may ask.
        assert_eq!(stage.put("b", preview("cookie:preview")).await?.0, 200);
        assert_eq!(stage.asked("cookie", "a=b; preview=please").await?, 2);
        assert_eq!(stage.asked("x-preview", "please").await?, 1);
        let back = json!({ "type": "rollback_canary", "version": "v2" });
        assert_eq!(stage.put("c", back).await?.0, 200);
        assert_eq!(stage.asked("cookie", "preview=please").await?, 1, "nothing leads to what is rolled back");
        for (key, value) in [("preview", "x"), ("query:preview", "x"), ("header:x-preview", "")] {
            let (status, why) =
                stage.put("d", trial(json!({ "preview": { "key": key, "value": value } }))).await?;
            assert!(status == 422 && why["detail"].as_str().unwrap().contains("preview"), "{status} {why}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_requests_copied_and_only_what_is_read_unless_it_says_so() -> Result<()> {
    let stage = Stage::set("").await?;
    let (users, copied) = (&stage.origins[0], &stage.origins[1]);
    let copies = |count: u64| async move {
        eventually("the copies have come", Duration::from_secs(30), || async {
            Ok(copied.requests() == count)
        })
        .await
    };
    let post = || async {
        let answer = stage.client.post(format!("{}/echo", stage.proxy.url)).body("order").send().await?;
        assert_eq!(answer.text().await?, "order");
        Ok::<_, anyhow::Error>(())
    };
    // The worker copies every second one.
    let get = || async {
        let answer = stage.client.get(&stage.proxy.url).send().await?.error_for_status()?;
        answer.text().await
    };
    assert_eq!(stage.put("a", trial(json!({ "copies": { "percent": 50 } }))).await?.0, 200);
    for _ in 0..8 {
        get().await?;
        post().await?;
    }
    copies(4).await?;
    let head = copied.last_head().unwrap();
    assert_eq!((head.method.as_str(), head.headers["x-lightsout-shadow"].to_str()?), ("GET", "true"));
    let all = trial(json!({ "copies": { "percent": 100, "all_methods": true } }));
    assert_eq!(stage.put("b", all).await?.0, 200);
    post().await?;
    copies(5).await?;
    assert_eq!(copied.last_head().unwrap().method.as_str(), "POST");
    assert_eq!(users.requests(), 17, "every request went to its user's version as well");
    for id in ["a", "b"] {
        stage.proxy.ask("DELETE", &format!("/v1/actions/{id}?epoch=1"), None).await?;
    }
    get().await?;
    assert_eq!(stage.put("c", trial(json!({ "copies": { "percent": 0 } }))).await?.0, 422);
    assert_eq!(copied.requests(), 5);
    Ok(())
}
