//! Several real proxies of one service: an action reaches one of them first, and all in the end.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Behaviour, Brain, Load, Origin, eventually};

const SICK: Behaviour = Behaviour { failing_percent: 40, delay: Duration::ZERO, bears: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn an_action_reaches_one_proxy_first_and_all_in_the_end() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(5).await?;
    let brain = Brain::start(dir.path(), "autonomous").await?;
    let proxies = brain.proxies(&origins, 3).await?;
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
    let intent = &brain.records("intent").await?[0];
    assert_eq!(intent["proxies"].as_array().unwrap().len(), 1, "{intent}");
    let widened = brain.records("widened").await?;
    let sizes: Vec<usize> = widened.iter().map(|w| w["proxies"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1, 1], "{widened:?}");
    assert!(widened[0]["why"].as_str().unwrap().contains("with it"), "{widened:?}");
    eventually("it has helped", Duration::from_secs(30), || async {
        Ok(brain.records("effect").await?.iter().any(|e| e["effect"]["kind"] == "helped"))
    })
    .await?;
    Ok(())
}
