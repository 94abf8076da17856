#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::leases::sample::{id, request, settings, settings_of};
use crate::upstream::sessions::Secret;

pub(crate) struct Rig {
    pub(crate) control: Arc<Control>,
    folder: tempfile::TempDir,
}

impl Rig {
    /// A file in the rig's own folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

pub(crate) fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let control = open(&folder);
    Rig { control, folder }
}

fn open(folder: &tempfile::TempDir) -> Arc<Control> {
    let (file, held) = StateFile::open(&folder.path().join("state.json")).unwrap();
    Control::start(settings(), ProxyId::new("p1").unwrap(), "b1".to_owned(), file, held, Secret::new([7; 32]))
}

fn eject(n: u8) -> ActionRequest {
    request("cart", json!({"type": "eject_endpoint", "endpoint": format!("10.0.0.{n}:80")}))
}

fn hash(control: &Control) -> String {
    control.table().load().live.hash.clone()
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_restores_the_weights() {
    let rig = rig();
    let stop = CancellationToken::new();
    let timer = tokio::spawn(Arc::clone(&rig.control).run_expiry(stop.clone()));
    let before = hash(&rig.control);
    let short = ActionRequest { lease_ms: 5_000, ..eject(1) };
    rig.control.put(id("short"), short).await.unwrap();
    rig.control.put(id("long"), eject(2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(rig.control.view().leases.len(), 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.control.view().leases.len(), 1, "ended within a tenth of a second");
    tokio::time::sleep(Duration::from_secs(26)).await;
    assert_eq!(hash(&rig.control), before);
    stop.cancel();
    timer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewed_lease_lives_on_and_the_same_put_does_not_extend_it() {
    let rig = rig();
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&rig.control).run_expiry(stop.clone()));
    let first = rig.control.put(id("a"), eject(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(rig.control.put(id("a"), eject(1)).await.unwrap(), first);
    rig.control.renew(&id("a"), RenewRequest { epoch: Epoch(1), lease_ms: 30_000 }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(rig.control.view().leases.len(), 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(rig.control.view().leases.is_empty());
    stop.cancel();
}

#[tokio::test]
async fn undo_restores_the_hash_and_a_refused_action_changes_nothing() {
    let rig = rig();
    let before = hash(&rig.control);
    let receipt = rig.control.put(id("a"), eject(1)).await.unwrap();
    assert_eq!(
        (&receipt.live_state_hash_before, &receipt.live_state_hash_after),
        (&before, &hash(&rig.control))
    );
    rig.control.put(id("b"), eject(2)).await.unwrap();
    let two = hash(&rig.control);
    let epoch_9 = ActionRequest { epoch: Epoch(9), ..eject(3) };
    assert!(matches!(rig.control.put(id("c"), epoch_9).await, Err(Refusal::Floor(_))));
    assert_eq!((hash(&rig.control), rig.control.view().persisted.epoch), (two, Epoch(1)));
    rig.control.undo(&id("b"), Epoch(1)).await.unwrap();
    let undone = rig.control.undo(&id("a"), Epoch(1)).await.unwrap();
    assert_eq!(undone.live_state_hash_after, before);
    assert_eq!(hash(&rig.control), before);
}

#[tokio::test]
async fn epoch_and_freeze_survive_a_restart_and_leases_do_not() {
    let rig = rig();
    rig.control.put(id("a"), ActionRequest { epoch: Epoch(7), ..eject(1) }).await.unwrap();
    let reborn = open(&rig.folder);
    assert_eq!(reborn.view().persisted.epoch, Epoch(7));
    assert!(reborn.view().leases.is_empty());
    let stale = reborn.put(id("a"), ActionRequest { epoch: Epoch(6), ..eject(1) }).await;
    assert_eq!(stale, Err(Refusal::StaleEpoch { given: Epoch(6), seen: Epoch(7) }));
    reborn.freeze().await.unwrap();
    let frozen = open(&rig.folder);
    assert!(frozen.view().persisted.frozen);
    let refused = frozen.put(id("a"), ActionRequest { epoch: Epoch(8), ..eject(1) }).await;
    assert_eq!(refused, Err(Refusal::Frozen));
}

#[tokio::test]
async fn an_epoch_that_cannot_be_written_down_is_not_obeyed_but_the_kill_switch_is() {
    let rig = rig();
    rig.control.put(id("a"), eject(1)).await.unwrap();
    let state = rig.folder.path().join("state.json");
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let newer = ActionRequest { epoch: Epoch(2), ..eject(2) };
    assert!(matches!(rig.control.put(id("b"), newer).await, Err(Refusal::Storage(_))));
    assert_eq!(rig.control.view().leases.len(), 1);
    assert!(rig.control.freeze().await.is_err());
    assert!(rig.control.view().leases.is_empty() && rig.control.view().persisted.frozen);
}

#[tokio::test]
async fn a_reload_keeps_the_leases_that_fit_and_drops_the_others() {
    let rig = rig();
    rig.control.put(id("stays"), eject(1)).await.unwrap();
    rig.control.put(id("goes"), eject(5)).await.unwrap();
    rig.control.reload(Arc::new(settings_of(&[("cart", 3)], 0.5))).await.unwrap();
    let view = rig.control.view();
    assert_eq!(view.leases.iter().map(|l| l.receipt.id.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert_eq!(view.leases_dropped, 1);
    assert_eq!(view.table.services.len(), 1);
    assert!(view.table.live.services.values().next().unwrap().endpoints[0].ejected);
}

#[tokio::test]
async fn a_reload_that_would_move_a_listener_is_refused_whole() {
    let rig = rig();
    let before = hash(&rig.control);
    let mut moved = settings_of(&[("cart", 3)], 0.5);
    moved.server.bind.set_port(1);
    let refused = rig.control.reload(Arc::new(moved)).await;
    assert_eq!(refused, Err(NeedsRestart(vec!["server.bind_address and server.port"])));
    assert_eq!(hash(&rig.control), before);
}

fn canary(kind: &str) -> ActionRequest {
    request("cart", json!({"type": kind, "version": "v2"}))
}

fn weights(control: &Control) -> Vec<u32> {
    let table = control.table().load_full();
    let cart = table.live.services.iter().find(|(name, _)| name.as_str() == "cart").map(|(_, s)| s).unwrap();
    cart.endpoints.iter().map(|e| e.weight).collect()
}

/// `cart` with one endpoint of v2, as large as the four of v1 together.
fn with_a_large_v2() -> Arc<Settings> {
    let text = "server: {port: 0, bind_address: 127.0.0.1}\nadmin: {port: 0}\nupstream:\n  services:\n    cart:\n      endpoints:\n        - { address: 10.0.0.1, port: 80, version: v1, weight: 100 }\n        - { address: 10.0.0.2, port: 80, version: v2, weight: 100 }\n        - { address: 10.0.0.3, port: 80, version: v2, weight: 0 }\n";
    let given =
        crate::settings::Given { ai_enabled: false, ai_mode: None, host_name: "night".to_owned(), cores: 2 };
    let document = protocol::document::Document::parse("sample.yaml", text).unwrap();
    Arc::new(Settings::from_document(&document, &given).unwrap())
}

fn open_large(folder: &tempfile::TempDir) -> Arc<Control> {
    let (file, held) = StateFile::open(&folder.path().join("state.json")).unwrap();
    let proxy = ProxyId::new("p1").unwrap();
    Control::start(with_a_large_v2(), proxy, "b1".to_owned(), file, held, Secret::new([7; 32]))
}

#[tokio::test]
async fn a_promotion_outlives_its_lease_a_freeze_and_the_proxy_until_it_is_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let control = open_large(&folder);
    assert_eq!(weights(&control), [100, 100, 0]);
    control.put(id("promote"), canary("promote_canary")).await.unwrap();
    assert_eq!(weights(&control), [0, 100, 0]);
    control.undo(&id("promote"), Epoch(1)).await.unwrap();
    control.freeze().await.unwrap();
    control.unfreeze().await.unwrap();
    assert_eq!(weights(&control), [0, 100, 0]);
    let reborn = open_large(&folder);
    assert_eq!(weights(&reborn), [0, 100, 0]);
    reborn.put(id("back"), canary("rollback_canary")).await.unwrap();
    assert_eq!(weights(&reborn), [100, 0, 0], "and nothing to it while the lease lives");
    reborn.undo(&id("back"), Epoch(1)).await.unwrap();
    assert_eq!(weights(&open_large(&folder)), [100, 100, 0], "then the file's weights hold again");
}

#[tokio::test]
async fn a_version_that_is_too_small_is_not_promoted_and_a_canary_is_not_overloaded() {
    let rig = rig();
    let before = hash(&rig.control);
    let refused = rig.control.put(id("a"), canary("promote_canary")).await;
    assert!(matches!(refused, Err(Refusal::Floor(ref why)) if why.contains("v2 has 25.0 %")), "{refused:?}");
    let split = |weight: u32| {
        request(
            "cart",
            json!({"type": "set_canary_weight", "stable": "v1", "canary": "v2", "weight": weight}),
        )
    };
    assert!(matches!(rig.control.put(id("b"), split(70)).await, Err(Refusal::Floor(_))));
    assert_eq!(hash(&rig.control), before, "what is refused changes nothing");
    rig.control.put(id("c"), split(5)).await.unwrap();
    rig.control.put(id("d"), split(40)).await.unwrap();
    rig.control.undo(&id("c"), Epoch(1)).await.unwrap();
    assert_eq!(weights(&rig.control), [75, 75, 75, 75, 200]);
    rig.control.undo(&id("d"), Epoch(1)).await.unwrap();
    assert_eq!(hash(&rig.control), before);
}
