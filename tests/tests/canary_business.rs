//! What the business says of a canary, read from a real Prometheus that scrapes a shop.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;
use tests::{Ended, Prometheus, Reply, Scripted, Stage};

/// Whatever errors and latency say, the orders decide: the bounds are wide, and promotion waits for them.
const JUDGE: &str = "judge:\n  warm_up_ms: 2000\n  promote_e: 10\n  rollback_e: 100\n\
    \x20 errors: { tolerance: { odds: 1.25, share: 0.005 }, limit: { odds: 4, share: 0.06 } }\n\
    \x20 latency: { tolerance: 2.0, limit: 5.0, tail_limit: 8.0, floor_us: 20000 }\n\
    \x20 business: [ { name: orders, worse: lower, tolerance: 0.15, required: true, spacing_ms: 1000 } ]\n";

/// A shop that sells ten a second through v1, and so many through v2.
async fn shop(through_v2: f64) -> Result<Scripted> {
    let opened = Instant::now();
    Scripted::start(move |_, _| async move {
        let sold = |rate: f64| rate * (100.0 + opened.elapsed().as_secs_f64());
        Reply::text(format!(
            "# TYPE shop_orders_total counter\nshop_orders_total{{version=\"v1\"}} {:.3}\n\
             shop_orders_total{{version=\"v2\"}} {:.3}\n",
            sold(10.0),
            sold(through_v2)
        ))
    })
    .await
}

/// A canary that fails nobody and keeps nobody waiting; the shop says how it sells.
async fn judged_by(through_v2: f64) -> Result<(Ended, Value)> {
    let (stage, shop) = (Stage::set().await?, shop(through_v2).await?);
    let prometheus = Prometheus::start(stage.dir.path(), &shop.address.to_string()).await?;
    let queries = "{ orders: 'sum(rate(shop_orders_total{version=\"$VERSION\"}[10s]))' }";
    let more =
        format!("steps: [50, 100]\nprometheus: {{ url: \"{}\", queries: {queries} }}\n", prometheus.url());
    let id = stage.start_judged(&more, JUDGE).await?;
    let ended = stage.wait(&id).await?;
    let detail = stage.detail(&id).await?;
    Ok((ended, detail))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_sells_less_is_rolled_back_for_that_reason() -> Result<()> {
    let (Ended { code, said, why }, detail) = judged_by(6.0).await?;
    assert_eq!(code, Some(3), "{said} {why}\n{detail}");
    assert!(why.contains("business:orders: worse than tolerated in "), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_sells_as_much_is_promoted_once_the_orders_say_so() -> Result<()> {
    let (Ended { code, said, why }, detail) = judged_by(10.0).await?;
    assert_eq!(code, Some(0), "{said} {why}\n{detail}");
    let text = detail.to_string();
    assert!(text.contains("business:orders"), "{text}");
    Ok(())
}
