//! Several real proxies of one service: an action reaches one of them first, and all in the end.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::{Behaviour, Brain, Load, Origin, Proxy, eventually, proxy_config};

const SICK: Behaviour = Behaviour { failing_percent: 40, delay: Duration::ZERO, bears: 0 };

async fn proxies(dir: &Path, origins: &[Origin], brain: &Brain) -> Result<Vec<Proxy>> {
    let mut proxies = Vec::new();
    for n in 1..=3 {
        let own = dir.join(format!("p{n}"));
        std::fs::create_dir_all(&own)?;
        std::fs::copy(dir.join("mesh.token"), own.join("mesh.token"))?;
        let ai = brain.ai_section().replace("proxy_id: p1", &format!("proxy_id: p{n}"));
        proxies.push(Proxy::start(&own, &proxy_config(&own, origins, &ai)?).await?);
    }
    Ok(proxies)
}

async fn data(brain: &Brain, kind: &str) -> Result<Vec<Value>> {
    let records = brain.list(&format!("/v1/audit?limit=1000&kind={kind}")).await?;
    Ok(records.into_iter().map(|r| r["data"].clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_reaches_one_proxy_first_and_all_in_the_end() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(5).await?;
    let brain = Brain::start(dir.path(), "autonomous").await?;
    let proxies = proxies(dir.path(), &origins, &brain).await?;
    let loads: Vec<Load> = proxies.iter().map(|p| Load::start(&p.url, 80)).collect::<Result<_>>()?;
    loads[0].next(800).await;
    origins[2].behave(SICK);
    eventually("all have it", Duration::from_secs(60), || async {
        let mut held = 0;
        for proxy in &proxies {
            held += usize::from(proxy.endpoint(&origins[2]).await?.ejected);
        }
        Ok(held == 3)
    })
    .await
    .with_context(|| brain.process.log())?;
    let intent = &data(&brain, "intent").await?[0];
    assert_eq!(intent["proxies"].as_array().unwrap().len(), 1, "{intent}");
    let widened = data(&brain, "widened").await?;
    let sizes: Vec<usize> = widened.iter().map(|w| w["proxies"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1, 1], "{widened:?}");
    assert!(widened[0]["why"].as_str().unwrap().contains("with it"), "{widened:?}");
    eventually("it has helped", Duration::from_secs(30), || async {
        Ok(data(&brain, "effect").await?.iter().any(|e| e["effect"]["kind"] == "helped"))
    })
    .await?;
    Ok(())
}
