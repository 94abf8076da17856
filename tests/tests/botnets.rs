//! Clients each of whom asks little, and who are one: by the windows of a real proxy, which names only the busiest of each
//! second.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::{Behaviour, EdgeMesh, Load, eventually};

const BOTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_botnet_is_refused_address_by_address_and_people_are_served() -> Result<()> {
    let mesh = EdgeMesh::start(0).await?;
    // Five endpoints that serve three at once, 80 ms each: not 190 requests a second.
    let bears = Behaviour { bears: 3, delay: Duration::from_millis(80), ..Behaviour::default() };
    let people = mesh.people(40, 1)?;
    mesh.origins.iter().for_each(|origin| origin.behave(bears));
    mesh.until_known(&people).await?;
    let addresses: Vec<String> = (0..BOTS).map(|n| format!("203.{n}.113.{}", (n * 13) % 256)).collect();
    let missing = format!("{}/missing", mesh.proxy.url);
    let bots = Load::start_as(&missing, 2 * BOTS as u32, &addresses)?;
    // Who is known to be one is blocked as it becomes known.
    eventually("nearly all of it is refused", Duration::from_secs(90), || async {
        Ok(blocked(&mesh).await?.len() * 10 >= BOTS * 9)
    })
    .await
    .with_context(|| mesh.brain.process.log())?;
    let bot: BTreeSet<String> = addresses.iter().map(|address| format!("{address}/32")).collect();
    assert!(blocked(&mesh).await?.is_subset(&bot), "people are refused");
    mesh.until_helped().await?;
    eventually("people are served", Duration::from_secs(30), || async {
        Ok(people.next(100).await.failed == 0)
    })
    .await?;
    drop(bots);
    mesh.until_over().await
}

/// The networks that the proxy refuses.
async fn blocked(mesh: &EdgeMesh) -> Result<BTreeSet<String>> {
    let Some(kind) = mesh.lease("block_ips").await? else { return Ok(BTreeSet::new()) };
    Ok(serde_json::from_value(kind["cidrs"].clone())?)
}
