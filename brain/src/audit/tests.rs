//! The store against a real file: tampering, a full disk, a second brain, a stranger's database.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;
use crate::domain::{Actor, ActorKind, Event, Mode};

fn person() -> Actor {
    Actor { kind: ActorKind::Person, id: "operator".into() }
}

fn event(mode: Mode) -> (Actor, Event) {
    (person(), Event::Mode { mode, kind: Some("eject_endpoint".into()), by: person() })
}

fn refusal(service: &str) -> (Actor, Event) {
    let refusal = crate::domain::Refusal { status: 422, detail: "floor".into() };
    let (action, incident) = ("act-1".into(), Some("inc-1".into()));
    (
        Actor { kind: ActorKind::Proxy, id: "p1".into() },
        Event::Refusal { action, service: service.into(), incident, proxy: "p1".into(), refusal },
    )
}

/// An incident of this name.
pub(super) fn opened(id: &str) -> Event {
    let incident = serde_json::json!({
        "id": id, "state": "open", "service": "cart", "cause": { "kind": "service", "service": "cart" },
        "confidence": 0.9, "onset_ms": 0, "opened_ms": 0, "updated_ms": 0, "summary": "", "evidence": [],
        "alternatives": []
    });
    let event = serde_json::json!({ "type": "incident_opened", "incident": incident, "windows_digest": "" });
    serde_json::from_value(event).unwrap()
}

async fn written(folder: &Path, n: usize) -> AuditStore {
    let mut store = AuditStore::open(folder).await.unwrap();
    for i in 0..n {
        let events = [if i % 2 == 0 { event(Mode::Observe) } else { refusal("cart") }];
        store.append(1_700_000_000_000 + i as i64 * 1_000, &events).await.unwrap();
    }
    store
}

/// Writes into the file as somebody with the file would, the triggers removed first.
async fn tamper(folder: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("lightsout.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for trigger in
        ["DROP TRIGGER audit_is_never_changed", "DROP TRIGGER audit_is_shortened_only_under_a_tombstone"]
    {
        let _ = sqlx::query(trigger).execute(&mut connection).await;
    }
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn records_are_chained_over_a_restart_and_verify_with_the_brain_up_and_down() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 3).await;
    let (epoch, reader) = (store.epoch(), AuditReader::open(folder.path()).await.unwrap());
    assert!(reader.verify().await.unwrap().ok);
    store.close().await;
    let store = written(folder.path(), 2).await;
    assert_eq!(store.epoch(), epoch + 1);
    store.close().await;
    let reader = AuditReader::open(folder.path()).await.unwrap();
    let proof = reader.verify().await.unwrap();
    assert_eq!((proof.ok, proof.records), (true, 5));
    let mut seqs = Vec::new();
    reader
        .walk(|record| {
            seqs.push(record.seq);
            true
        })
        .await
        .unwrap();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn changing_any_column_of_a_record_is_found_at_that_record() {
    for sql in [
        "UPDATE audit SET at = '1999-01-01T00:00:00.000Z' WHERE seq = 2",
        "UPDATE audit SET actor = '{\"id\":\"p2\",\"kind\":\"proxy\"}' WHERE seq = 2",
        "UPDATE audit SET kind = 'receipt' WHERE seq = 2",
        "UPDATE audit SET service = 'web' WHERE seq = 2",
        "UPDATE audit SET incident = NULL WHERE seq = 2",
        "UPDATE audit SET action = 'act-2' WHERE seq = 2",
        "UPDATE audit SET data = replace(data, '422', '200') WHERE seq = 2",
        "UPDATE audit SET data = replace(data, ':', ': ') WHERE seq = 2",
        "UPDATE audit SET data = 'no JSON' WHERE seq = 2",
        "UPDATE audit SET prev_hash = hash WHERE seq = 2",
        "UPDATE audit SET hash = prev_hash WHERE seq = 2",
        "UPDATE audit SET seq = 200 WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
    ] {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), 4).await.close().await;
        tamper(folder.path(), sql).await;
        let proof = AuditReader::open(folder.path()).await.unwrap().verify().await.unwrap();
        assert_eq!(proof.flaw.map(|flaw| flaw.seq), Some(2), "{sql}");
    }
}

#[tokio::test]
async fn a_log_that_was_cut_at_the_end_is_found() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 4).await.close().await;
    tamper(folder.path(), "DELETE FROM audit WHERE seq > 2").await;
    let proof = AuditReader::open(folder.path()).await.unwrap().verify().await.unwrap();
    assert_eq!(proof.flaw.map(|flaw| flaw.seq), Some(3));
}

#[tokio::test]
async fn the_log_refuses_to_be_changed_or_shortened() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 1).await.close().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("lightsout.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for sql in ["UPDATE audit SET kind = 'x'", "DELETE FROM audit"] {
        let refused = sqlx::query(sql).execute(&mut connection).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_a_whole_batch_and_is_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 1).await;
    store.fill().await.unwrap();
    let many: Vec<_> = (0..500).map(|_| refusal("cart")).collect();
    let refused = store.append(0, &many).await.unwrap_err();
    assert!(refused.to_string().contains("full"), "{refused}");
    assert_eq!(store.seq(), 1);
    store.make_room().await.unwrap();
    assert_eq!(store.append(0, &many).await.unwrap().len(), 500);
    let reader = AuditReader::open(folder.path()).await.unwrap();
    assert_eq!(reader.verify().await.unwrap().records, 501);
}

#[tokio::test]
async fn a_second_brain_on_one_store_is_refused_but_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let _first = written(folder.path(), 1).await;
    let refused = AuditStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked(_)), "{refused}");
    assert!(AuditReader::open(folder.path()).await.unwrap().verify().await.unwrap().ok);
}

#[tokio::test]
async fn what_is_no_store_of_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lightsout.db"), "no database at all, but long enough to look at")
        .unwrap();
    let refused = AuditStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Open { .. }), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    let options =
        SqliteConnectOptions::new().filename(folder.path().join("lightsout.db")).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE recipes (name TEXT)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(matches!(AuditStore::open(folder.path()).await.unwrap_err(), StoreError::Foreign(_)));
    assert!(matches!(AuditReader::open(folder.path()).await.unwrap_err(), StoreError::Foreign(_)));

    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(AuditReader::open(empty.path()).await.unwrap_err(), StoreError::Absent(_)));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(AuditStore::open(file.path()).await.unwrap_err(), StoreError::Folder { .. }));
}

#[tokio::test]
async fn filters_narrow_and_pages_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let _store = written(folder.path(), 10).await;
    let reader = AuditReader::open(folder.path()).await.unwrap();
    let count = async |filter: AuditFilter| reader.page(&filter).await.unwrap().items.len();
    let none = AuditFilter::default;
    assert_eq!(count(none()).await, 10);
    assert_eq!(count(AuditFilter { kind: Some("mode".into()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { actor: Some("proxy".into()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { actor: Some("operator".into()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { service: Some("cart".into()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { incident: Some("'; DROP TABLE audit; --".into()), ..none() }).await, 0);
    assert_eq!(count(AuditFilter { text: Some("CART".into()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { text: Some("' OR 1=1 --".into()), ..none() }).await, 0);
    let newest = AuditFilter { newest: Some(true), limit: Some(4), ..none() };
    let page = reader.page(&newest).await.unwrap();
    assert_eq!((page.items[0].seq, page.next.as_deref()), (10, Some("7")));
    let older = reader.page(&AuditFilter { cursor: Some(7), ..newest }).await.unwrap();
    assert_eq!((older.items[0].seq, older.items.len()), (6, 4));
    let at = |ms: i64| Some(jiff::Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap());
    assert_eq!(count(AuditFilter { since: at(3_000), until: at(6_000), ..none() }).await, 3);
    let first = reader.page(&AuditFilter { limit: Some(4), ..none() }).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("4"));
    let rest = reader.page(&AuditFilter { cursor: Some(4), ..none() }).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].seq, rest.next), (6, 5, None));
}

#[tokio::test]
async fn ids_and_the_freeze_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 0).await;
    let reader = AuditReader::open(folder.path()).await.unwrap();
    assert_eq!(reader.highest(Numbered::Canary).await.unwrap(), 0);
    for id in ["inc-9", "inc-11", "xx-99"] {
        store.append(0, &[(person(), opened(id))]).await.unwrap();
    }
    assert_eq!(reader.highest(Numbered::Incident).await.unwrap(), 11);
    store.append(0, &[(person(), Event::Frozen { by: person(), revert_all: false })]).await.unwrap();
    assert_eq!(reader.last_of("frozen", "unfrozen").await.unwrap().unwrap().kind, "frozen");
}

#[tokio::test]
async fn an_epoch_is_never_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = AuditStore::open(folder.path()).await.unwrap();
    assert_eq!(store.epoch(), 1);
    assert_eq!(store.raise_epoch(41).await.unwrap(), 42);
    store.close().await;
    assert_eq!(AuditStore::open(folder.path()).await.unwrap().epoch(), 43);
}
