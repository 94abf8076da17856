//! What of the log still stands, however old: the last word on freeze and mode, the numbers already given.

use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Executor, Row as _};

use super::query::record;
use super::record::Record;
use super::store::{StoreError, read_error};
use super::tombstone::KIND;

/// What bears a number of its own within one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbered {
    /// `inc-N`.
    Incident,
    /// `prop-N`.
    Proposal,
    /// `act-N`.
    Action,
    /// `can-N`.
    Canary,
}

impl Numbered {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Incident, Self::Proposal, Self::Action, Self::Canary];

    /// The record that gives the number, where in its data, and what stands before it.
    pub(super) fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Incident => ("incident_opened", "$.incident.id", "inc-"),
            Self::Proposal => ("proposal", "$.proposal.id", "prop-"),
            Self::Action => ("intent", "$.action.id", "act-"),
            Self::Canary => ("canary_started", "$.canary.id", "can-"),
        }
    }
}

/// The highest number given so far, by records that are there or were; 0 where none was.
pub(super) async fn highest(connection: &mut SqliteConnection, of: Numbered) -> Result<u64, StoreError> {
    let (kind, path, prefix) = of.place();
    let there: Option<i64> = sqlx::query_scalar(
        "SELECT max(CAST(substr(json_extract(data, ?2), ?4) AS INTEGER)) FROM audit \
         WHERE kind = ?1 AND json_extract(data, ?2) LIKE ?3",
    )
    .bind(kind)
    .bind(path)
    .bind(format!("{prefix}%"))
    .bind(i64::try_from(prefix.len()).unwrap_or(0) + 1)
    .fetch_one(&mut *connection)
    .await
    .map_err(read_error)?;
    let removed: Option<i64> =
        sqlx::query_scalar("SELECT max(json_extract(data, ?1)) FROM audit WHERE kind = ?2")
            .bind(format!("$.tombstone.highest.{kind}"))
            .bind(KIND)
            .fetch_one(&mut *connection)
            .await
            .map_err(read_error)?;
    Ok(there.max(removed).and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// The newest record of one of two kinds: which of them happened last.
pub(super) async fn last_of<'e>(
    log: impl Executor<'e, Database = Sqlite>,
    one: &str,
    other: &str,
) -> Result<Option<Record>, StoreError> {
    let row = sqlx::query("SELECT * FROM audit WHERE kind IN (?1, ?2) ORDER BY seq DESC LIMIT 1")
        .bind(one.to_owned())
        .bind(other.to_owned())
        .fetch_optional(log)
        .await
        .map_err(read_error)?;
    row.as_ref().map(record).transpose().map_err(StoreError::Read)
}

/// The newest `mode` record of the whole and of each kind of action, oldest first.
pub(super) async fn last_modes<'e>(
    log: impl Executor<'e, Database = Sqlite>,
) -> Result<Vec<Record>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM audit WHERE seq IN (SELECT max(seq) FROM audit WHERE kind = 'mode' \
         GROUP BY json_extract(data, '$.kind')) ORDER BY seq",
    )
    .fetch_all(log)
    .await
    .map_err(read_error)?;
    rows.iter().map(|row| record(row).map_err(StoreError::Read)).collect()
}

/// One number of the log, absent where there is no record.
pub(super) async fn number(
    connection: &mut SqliteConnection,
    query: &'static str,
    bound: &str,
) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query(query).bind(bound).fetch_one(connection).await.map_err(read_error)?;
    let found: Option<i64> = row.try_get(0).map_err(read_error)?;
    Ok(found.and_then(|n| u64::try_from(n).ok()))
}
