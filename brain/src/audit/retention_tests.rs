//! Shortening a log at its old end: what stays provable, what still stands, what is found as forged.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::tests::opened;
use super::*;
use crate::domain::{Actor, ActorKind, Event, Mode};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_700_000_000_000;

fn ada() -> Actor {
    Actor { kind: ActorKind::Person, id: "ada".into() }
}

fn brain() -> Actor {
    Actor { kind: ActorKind::Brain, id: "lightsout".into() }
}

fn keep(folder: &Path, days: Option<i64>, records: Option<u64>) -> Retention {
    let key = AuditKey::read_or_make(folder).unwrap();
    Retention { keep_ms: days.map(|days| days * DAY_MS), keep_records: records, key }
}

/// Twenty days, a record each; on the first a person froze and lowered a mode.
async fn twenty_days(folder: &Path) -> AuditStore {
    let mut store = AuditStore::open(folder).await.unwrap();
    let mode = |mode, kind: &str| Event::Mode { mode, kind: Some(kind.into()), by: ada() };
    let first = [
        (brain(), opened("inc-41")),
        (ada(), Event::Frozen { by: ada(), revert_all: true }),
        (ada(), mode(Mode::Observe, "eject_endpoint")),
        (ada(), mode(Mode::Observe, "shed_load")),
    ];
    store.append(START_MS, &first).await.unwrap();
    for day in 1..20 {
        let event = mode(Mode::Advisory, "shed_load");
        store.append(START_MS + day * DAY_MS, &[(ada(), event)]).await.unwrap();
    }
    store
}

fn after_twenty_days() -> i64 {
    START_MS + 20 * DAY_MS
}

async fn proof(folder: &Path) -> Proof {
    AuditReader::open(folder).await.unwrap().verify().await.unwrap()
}

/// Writes into the file as somebody with the file would.
async fn tamper(folder: &Path, sql: &'static str) -> Result<(), String> {
    let options = SqliteConnectOptions::new().filename(folder.join("lightsout.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let done = sqlx::query(sql).execute(&mut connection).await.map_err(|why| why.to_string());
    connection.close().await.unwrap();
    done.map(|_| ())
}

#[tokio::test]
async fn what_is_older_than_the_policy_goes_and_the_rest_still_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    let before = proof(folder.path()).await;
    let keep = keep(folder.path(), Some(10), None);
    let written = store.retire(after_twenty_days(), &keep, &brain()).await.unwrap();
    let Ok(Event::Tombstone { tombstone }) = written.last().unwrap().event() else { panic!("{written:?}") };
    // Records 1 to 4 are of the first day, 13 of the tenth.
    assert_eq!((tombstone.first_seq, tombstone.through_seq, tombstone.records), (1, 13, 13));
    let after = proof(folder.path()).await;
    assert!(after.ok, "{after:?}");
    assert_eq!((before.records, after.removed_through), (23, 13));
    assert!(store.retire(after_twenty_days(), &keep, &brain()).await.unwrap().is_empty(), "once");
    let later = after_twenty_days() + 5 * DAY_MS;
    assert!(!store.retire(later, &keep, &brain()).await.unwrap().is_empty());
    let again = proof(folder.path()).await;
    assert!(again.ok, "{again:?}");
    assert_eq!(again.removed_through, 18, "an older tombstone lies before the newer");
    store.close().await;
    let mut store = AuditStore::open(folder.path()).await.unwrap();
    store.append(later, &[(ada(), Event::Unfrozen { by: ada() })]).await.unwrap();
    assert!(proof(folder.path()).await.ok, "the chain goes on after a restart");
}

#[tokio::test]
async fn of_too_many_records_the_oldest_go_but_never_those_of_the_last_hours() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    let keep = keep(folder.path(), None, Some(5));
    let soon = START_MS + 19 * DAY_MS + 60_000;
    let recent: Vec<_> = (0..10).map(|_| (ada(), Event::Unfrozen { by: ada() })).collect();
    store.append(soon, &recent).await.unwrap();
    store.retire(soon, &keep, &brain()).await.unwrap();
    assert_eq!(proof(folder.path()).await.removed_through, 22, "the last 11 are of the last two hours");
}

#[tokio::test]
async fn a_freeze_a_lowered_mode_and_the_numbers_given_outlive_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    let keep = keep(folder.path(), Some(2), None);
    store.retire(after_twenty_days(), &keep, &brain()).await.unwrap();
    let reader = AuditReader::open(folder.path()).await.unwrap();
    assert_eq!(reader.last_of("frozen", "unfrozen").await.unwrap().unwrap().kind, "frozen");
    let modes = reader.last_modes().await.unwrap();
    let of = |kind: &str| modes.iter().find(|r| r.data["kind"] == kind).map(|r| r.data["mode"].clone());
    assert_eq!(of("eject_endpoint"), Some("observe".into()), "{modes:?}");
    assert_eq!(of("shed_load"), Some("advisory".into()), "the last word, not the first");
    assert_eq!(reader.highest(Numbered::Incident).await.unwrap(), 41);
    let later = after_twenty_days() + 30 * DAY_MS;
    store.retire(later, &keep, &brain()).await.unwrap();
    assert_eq!(reader.highest(Numbered::Incident).await.unwrap(), 41, "from one tombstone to the next");
}

#[tokio::test]
async fn a_tombstone_of_somebody_elses_key_and_one_whose_numbers_were_changed_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    keep(folder.path(), None, None);
    let forged = keep(elsewhere.path(), Some(10), None);
    store.retire(after_twenty_days(), &forged, &brain()).await.unwrap();
    let proof = proof(folder.path()).await;
    let flaw = proof.flaw.unwrap();
    assert!(flaw.why.contains("not signed by this log's key"), "{flaw:?}");
}

#[tokio::test]
async fn without_the_key_no_tombstone_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    store.retire(after_twenty_days(), &keep(folder.path(), Some(10), None), &brain()).await.unwrap();
    std::fs::remove_file(folder.path().join("audit.key")).unwrap();
    assert!(!proof(folder.path()).await.ok);
}

#[tokio::test]
async fn more_than_the_tombstone_names_cannot_go_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = twenty_days(folder.path()).await;
    let refused = tamper(folder.path(), "DELETE FROM audit WHERE seq = 1").await;
    assert!(refused.unwrap_err().contains("append-only"), "without a tombstone the table itself refuses");
    store.retire(after_twenty_days(), &keep(folder.path(), Some(10), None), &brain()).await.unwrap();
    let refused = tamper(folder.path(), "DELETE FROM audit WHERE seq <= 15").await;
    assert!(refused.unwrap_err().contains("append-only"), "nor more than it names");
    tamper(folder.path(), "DROP TRIGGER audit_is_shortened_only_under_a_tombstone").await.unwrap();
    tamper(folder.path(), "DELETE FROM audit WHERE seq <= 15").await.unwrap();
    let flaw = proof(folder.path()).await.flaw.unwrap();
    assert!(flaw.why.contains("records 1 to 15 are missing"), "{flaw:?}");
}

#[tokio::test]
async fn a_beginning_that_is_gone_without_a_tombstone_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = twenty_days(folder.path()).await;
    drop(store);
    tamper(folder.path(), "DROP TRIGGER audit_is_shortened_only_under_a_tombstone").await.unwrap();
    tamper(folder.path(), "DELETE FROM audit WHERE seq <= 4").await.unwrap();
    let flaw = proof(folder.path()).await.flaw.unwrap();
    assert_eq!((flaw.seq, flaw.why.contains("no tombstone says so")), (1, true), "{flaw:?}");
}
