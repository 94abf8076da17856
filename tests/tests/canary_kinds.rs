//! Ways to try a version, and what a trial may cost, through real proxies.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use tests::{Behaviour, Ended, Setting, Stage, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_get_the_canary_before_any_user() -> Result<()> {
    let stage = Stage::set().await?;
    let preview = "preview: { key: header:x-preview, value: please, requests: 10 }\n";
    let id = stage.start(&format!("{preview}steps: [20, 100]\n")).await?;
    stage
        .until("nobody has asked for it", &id, |d| {
            d["hold"]["why"] == "0 of 10 requests asked for it by header:x-preview"
        })
        .await?;
    assert_eq!((stage.share_of_v2().await?, stage.v2().requests()), (0.0, 0));
    let client = reqwest::Client::new();
    let ask = || async {
        Ok::<_, anyhow::Error>(client.get(&stage.proxy.url).header("x-preview", "please").send().await?)
    };
    for asked in 1..=10 {
        assert_eq!(ask().await?.status(), 200);
        assert_eq!(stage.v2().requests(), asked, "who asks, and nobody else");
    }
    let detail = stage.until("users get it", &id, |d| d["weight"] == 20).await?;
    assert_eq!(detail["previewed"], 10, "{detail}");
    let page = stage.brain.operator(&["canary", "report", &id]).await?;
    assert!(page.contains("Requests that asked for it before that"), "{page}");
    stage.brain.operator(&["canary", "rollback", &id, "--reason", "enough"]).await?;
    assert_eq!(stage.wait(&id).await?.code, Some(3));
    let before = stage.v2().requests();
    assert_eq!(ask().await?.status(), 200);
    assert_eq!(stage.v2().requests(), before, "it is there for nobody any more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_by_copies_reads_out_and_touches_no_user() -> Result<()> {
    let stage = Stage::set().await?;
    let mirror = "strategy: mirror\ncopies: { percent: 50 }\n";
    let id = stage.start(mirror).await?;
    let refused = stage.lightsout(&["canary", "promote", &id]).await?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no promotion"), "{refused:?}");
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!((code, said["phase"].as_str()), (Some(0), Some("finished")), "{said} {why}");
    assert!(said["reason"].as_str().unwrap().starts_with("read-out:"), "{said}");
    stage.v2().behave(Behaviour { failing_percent: 40, ..Behaviour::default() });
    let id = stage.start(mirror).await?;
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!((code, said["phase"].as_str()), (Some(3), Some("rolled_back")), "{said} {why}");
    assert!(why.contains("errors"), "{why}");
    assert_eq!((stage.share_of_v2().await?, stage.load.tally().failed), (0.0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_promoted_by_what_it_was_compared_with() -> Result<()> {
    let stage = Stage::set().await?;
    let id = stage.start("strategy: blue_green\n").await?;
    stage
        .until("v1 is listened to", &id, |d| {
            d["hold"]["why"].as_str().is_some_and(|w| w.contains("listened to"))
        })
        .await?;
    assert_eq!(stage.share_of_v2().await?, 0.0);
    stage.until("all at once", &id, |d| d["weight"] == 100).await?;
    stage.brain.operator(&["canary", "promote", &id, "--reason", "seen it"]).await?;
    assert_eq!(stage.wait(&id).await?.code, Some(0));
    assert_eq!(stage.share_of_v2().await?, 1.0);
    // The stable version is kept warm: back in one order.
    stage.brain.operator(&["canary", "rollback", &id]).await?;
    assert_eq!(stage.wait(&id).await?.code, Some(3));
    assert_eq!((stage.share_of_v2().await?, stage.load.tally().failed), (0.0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ab_test_keeps_each_user_at_one_version_and_reads_out() -> Result<()> {
    let proxy = "routes: [ { name: all, cohort: { key: 'header:x-user' }, split: [ { service: cart } ] } ]\n";
    let stage = Stage::set_in(tempfile::tempdir()?, Setting { proxy, ..Setting::default() }).await?;
    let id = stage.start("strategy: ab\nsteps: [40]\nmax_duration_s: 8\n").await?;
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!((code, said["phase"].as_str()), (Some(0), Some("finished")), "{said} {why}");
    assert!(said["reason"].as_str().unwrap().starts_with("read-out:"), "{said}");
    let id = stage.start("strategy: ab\nsteps: [40]\n").await?;
    stage.until("its share is in force", &id, |d| d["hold"]["kind"] == "bake").await?;
    // From here on nobody else asks.
    drop(stage.load);
    let (v2, client) = (&stage.origins[2], reqwest::Client::new());
    eventually("the other users are gone", Duration::from_secs(20), || async {
        let before = v2.requests();
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(v2.requests() == before)
    })
    .await?;
    let mut on_v2 = 0;
    for user in 0..30 {
        let before = v2.requests();
        for _ in 0..4 {
            let request = client.get(&stage.proxy.url).header("x-user", format!("user-{user}"));
            assert_eq!(request.send().await?.status(), 200);
        }
        let here = v2.requests() - before;
        assert!(here == 0 || here == 4, "user {user} was at v2 {here} times of 4");
        on_v2 += here / 4;
    }
    assert!((1..30).contains(&on_v2), "{on_v2} of 30 at v2");
    Ok(())
}

/// Worse than the judge minds.
const LENIENT: &str = "judge:\n  warm_up_ms: 2000\n  rollback_e: 1000000\n\
    \x20 errors: { tolerance: { odds: 90, share: 0.4 }, limit: { odds: 100, share: 0.49 } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_costs_more_than_its_budget_goes_for_that_reason() -> Result<()> {
    let stage = Stage::set().await?;
    stage.v2().behave(Behaviour { failing_percent: 20, ..Behaviour::default() });
    let text = "steps: [50]\nerror_budget: { failures: 10 }\n";
    let id = stage.start_judged(text, LENIENT).await?;
    let Ended { code, said, why } = stage.wait(&id).await?;
    assert_eq!(code, Some(3), "{said} {why}");
    assert!(why.contains("error budget: ") && why.contains(" of 10 failures spent"), "{why}");
    let page = stage.brain.operator(&["canary", "report", &id]).await?;
    assert!(page.contains("| Error budget |"), "{page}");
    let records = stage.brain.list("/v1/audit?kind=canary_ended").await?;
    let spent = records[0]["data"]["canary"]["budget"]["spent"].as_f64();
    assert!(spent.is_some_and(|spent| spent > 10.0), "{records:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_elsewhere_in_the_service_pauses_it() -> Result<()> {
    let stage = Stage::set().await?;
    let id = stage.start("steps: [20]\n").await?;
    stage.until("users get it", &id, |d| d["totals"]["canary"].as_u64().is_some_and(|n| n > 20)).await?;
    stage.origins[0].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    let detail = stage.until("it is paused", &id, |d| d["phase"] == "paused").await?;
    let incident = detail["pause"]["incident"].as_str().unwrap().to_owned();
    assert!(detail["why"].as_str().unwrap().starts_with(&format!("{incident} is open")), "{detail}");
    assert!((stage.share_of_v2().await? - 0.2).abs() < 0.01, "the split stays as it is");
    stage.origins[0].behave(Behaviour::default());
    stage.until("it goes on", &id, |d| d["phase"] == "step").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_gets_its_canary_by_policy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("policies"))?;
    let policy =
        "version: 1\ndiscovery: { enabled: true, settle_s: 2, template: { steps: [20], min_bake_s: 1 } }\n";
    std::fs::write(dir.path().join("policies/canaries.yaml"), policy)?;
    let setting = Setting { mode: "autonomous", brain: "policies_dir: policies\n", ..Setting::default() };
    let stage = Stage::set_in(dir, setting).await?;
    let detail = stage.until("it begins by itself", "can-1", |d| d["weight"] == 20).await?;
    assert_eq!((detail["service"].as_str(), detail["canary"].as_str()), (Some("cart"), Some("v2")));
    assert_ne!(detail["by"], "operator", "{detail}");
    Ok(())
}
