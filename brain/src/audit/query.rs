//! Reading the log, beside the brain that writes it or with no brain at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use protocol::action::Items;
use protocol::canonical;
use serde::Deserialize;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{QueryBuilder, Row as _};

use super::chain::{Chain, Flaw, Proof};
use super::record::{Record, instant};
use super::standing::{self, Numbered};
use super::store::{StoreError, check_owner, database, read_error, words};
use super::tombstone::Seal;

/// The most records on one page.
pub const MAX_PAGE: u32 = 1_000;
const DEFAULT_PAGE: u32 = 100;

/// Which records; what is absent does not narrow.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// At or after, RFC 3339.
    pub since: Option<Timestamp>,
    /// Before, RFC 3339.
    pub until: Option<Timestamp>,
    /// The event's kind.
    pub kind: Option<String>,
    /// The actor's id or kind.
    pub actor: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// The incident.
    pub incident: Option<String>,
    /// This text anywhere in the record: its data, kind, service, ids or actor; ASCII letters of either case.
    pub text: Option<String>,
    /// Newest first; a cursor then leads to what is older.
    pub newest: Option<bool>,
    /// `next` of the page before.
    pub cursor: Option<u64>,
    /// Records a page, at most [`MAX_PAGE`].
    pub limit: Option<u32>,
}

/// A reader that cannot write.
#[derive(Debug, Clone)]
pub struct AuditReader {
    pool: SqlitePool,
    data_dir: PathBuf,
}

impl AuditReader {
    /// Opens the log in `data_dir` for reading.
    ///
    /// # Errors
    /// There is none, or it is not ours.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = database(data_dir);
        if !path.exists() {
            return Err(StoreError::Absent(path));
        }
        let options =
            SqliteConnectOptions::new().filename(&path).read_only(true).busy_timeout(Duration::from_secs(5));
        let open_error = |why: sqlx::Error| StoreError::Open { path: path.clone(), why: words(&why) };
        let pool =
            SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(open_error)?;
        let mut connection = pool.acquire().await.map_err(open_error)?;
        check_owner(&mut connection, &path).await?;
        drop(connection);
        Ok(Self { pool, data_dir: data_dir.to_owned() })
    }

    /// One page of the records that pass `filter`, oldest first unless it says otherwise.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn page(&self, filter: &AuditFilter) -> Result<Items<Record>, StoreError> {
        let limit = filter.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let mut query = narrowed(filter);
        query.push(if filter.newest == Some(true) { " ORDER BY seq DESC" } else { " ORDER BY seq" });
        query.push(" LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.pool).await.map_err(read_error)?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        let items: Vec<Record> =
            rows.iter().take(size).map(record).collect::<Result<_, _>>().map_err(StoreError::Read)?;
        let next = items.last().filter(|_| more).map(|last| last.seq.to_string());
        Ok(Items { items, next })
    }

    /// Walks the whole log in constant memory.
    ///
    /// # Errors
    /// The log cannot be read; a flaw in it is an answer, not an error.
    pub async fn verify(&self) -> Result<Proof, StoreError> {
        // The end that the writer noted is read first: what is appended meanwhile lies beyond it.
        let noted = self.noted_head().await?;
        let last = noted.as_ref().map_or(i64::MAX, |(seq, _)| i64::try_from(*seq).unwrap_or(i64::MAX));
        let mut chain = Chain::sealed(Seal::of(&self.data_dir));
        let mut rows =
            sqlx::query("SELECT * FROM audit WHERE seq <= ?1 ORDER BY seq").bind(last).fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(read_error)? {
            let step: Result<(), Flaw> = match record(&row) {
                Ok(record) => chain.step(&record),
                Err(why) => Err(chain.flaw(why)),
            };
            if let Err(flaw) = step {
                return Ok(chain.end(None, Some(flaw)));
            }
        }
        Ok(chain.end(noted, None))
    }

    /// Hands every record, oldest first, to `each`, which may end the walk by returning false.
    ///
    /// # Errors
    /// The log cannot be read, or a row is not a record.
    pub async fn walk(&self, mut each: impl FnMut(&Record) -> bool) -> Result<(), StoreError> {
        let mut rows = sqlx::query("SELECT * FROM audit ORDER BY seq").fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(read_error)? {
            if !each(&record(&row).map_err(StoreError::Read)?) {
                break;
            }
        }
        Ok(())
    }

    /// The newest record of one of two kinds: which of them happened last.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn last_of(&self, one: &str, other: &str) -> Result<Option<Record>, StoreError> {
        standing::last_of(&self.pool, one, other).await
    }

    /// The newest `mode` record of the whole and of each kind of action, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn last_modes(&self) -> Result<Vec<Record>, StoreError> {
        standing::last_modes(&self.pool).await
    }

    /// The verdicts that `id` leads to, oldest first: the seq of a record, a proposal, an action, or an incident.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn verdicts(&self, id: &str) -> Result<Vec<Record>, StoreError> {
        let seq = id.parse::<i64>().unwrap_or(-1);
        // What a record or an action is about is its proposal.
        let proposal: Option<String> = sqlx::query_scalar(
            "SELECT coalesce(json_extract(data, '$.proposal.id'), json_extract(data, '$.action.proposal')) \
             FROM audit WHERE seq = ?1 OR (kind = 'intent' AND action = ?2) LIMIT 1",
        )
        .bind(seq)
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(read_error)?
        .flatten();
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE kind = 'verdict' AND \
             (seq = ?1 OR incident = ?2 OR json_extract(data, '$.proposal.id') IN (?2, ?3)) \
             ORDER BY seq LIMIT ?4",
        )
        .bind(seq)
        .bind(id)
        .bind(proposal.unwrap_or_else(|| id.to_owned()))
        .bind(i64::from(MAX_PAGE))
        .fetch_all(&self.pool)
        .await
        .map_err(read_error)?;
        let found: Vec<Record> =
            rows.iter().map(record).collect::<Result<_, _>>().map_err(StoreError::Read)?;
        // Who names a verdict means that one.
        let named = found.iter().find(|r| i64::try_from(r.seq).is_ok_and(|n| n == seq)).cloned();
        Ok(named.map_or(found, |one| vec![one]))
    }

    /// The newest `most` records of these kinds at or after `since`, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn lately(
        &self,
        kinds: &[&str],
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM audit WHERE at >= ");
        query.push_bind(instant(since)).push(" AND kind IN (");
        let mut listed = query.separated(", ");
        kinds.iter().for_each(|kind| {
            listed.push_bind((*kind).to_owned());
        });
        query.push(") ORDER BY seq DESC LIMIT ").push_bind(i64::from(most));
        let rows = query.build().fetch_all(&self.pool).await.map_err(read_error)?;
        rows.iter().rev().map(|row| record(row).map_err(StoreError::Read)).collect()
    }

    /// The highest number that one of these ever had; 0 where there was none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn highest(&self, of: Numbered) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(read_error)?;
        standing::highest(&mut connection, of).await
    }

    /// Lets go of the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The last record's seq and hash, as the writer noted them.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn head(&self) -> Result<Option<(u64, String)>, StoreError> {
        self.noted_head().await
    }

    async fn noted_head(&self) -> Result<Option<(u64, String)>, StoreError> {
        let value: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'head'")
            .fetch_optional(&self.pool)
            .await
            .map_err(read_error)?;
        Ok(value
            .as_deref()
            .and_then(|v| v.split_once(' '))
            .and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_owned()))))
    }
}

fn narrowed(filter: &AuditFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM audit WHERE 1 = 1");
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(instant(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(instant(until));
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND (json_extract(actor, '$.id') = ").push_bind(actor.clone());
        query.push(" OR json_extract(actor, '$.kind') = ").push_bind(actor.clone()).push(")");
    }
    let columns = [
        (" AND kind = ", &filter.kind),
        (" AND service = ", &filter.service),
        (" AND incident = ", &filter.incident),
    ];
    for (column, value) in columns {
        if let Some(value) = value {
            query.push(column).push_bind(value.clone());
        }
    }
    if let Some(text) = &filter.text {
        query.push(" AND instr(lower(kind || ' ' || coalesce(service, '') || ' ' || coalesce(incident, '') || ' ' || ");
        query.push("coalesce(action, '') || ' ' || actor || ' ' || data), ");
        query.push_bind(text.to_ascii_lowercase()).push(") > 0");
    }
    if let Some(cursor) = filter.cursor {
        query.push(if filter.newest == Some(true) { " AND seq < " } else { " AND seq > " });
        query.push_bind(i64::try_from(cursor).unwrap_or(i64::MAX));
    }
    query
}

/// The record in a row, if the row is one in every byte.
pub(super) fn record(row: &SqliteRow) -> Result<Record, String> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(|why| words(&why));
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(|why| words(&why));
    let seq: i64 = row.try_get("seq").map_err(|why| words(&why))?;
    let actor = canonical_json("actor", &text("actor")?)?;
    Ok(Record {
        seq: u64::try_from(seq).map_err(|_| "seq is negative".to_owned())?,
        at: text("at")?,
        actor: serde_json::from_value(actor).map_err(|why| format!("actor: {why}"))?,
        kind: text("kind")?,
        service: optional("service")?,
        incident: optional("incident")?,
        action: optional("action")?,
        data: canonical_json("data", &text("data")?)?,
        prev_hash: text("prev_hash")?,
        hash: text("hash")?,
    })
}

fn canonical_json(column: &str, text: &str) -> Result<serde_json::Value, String> {
    let value = serde_json::from_str(text).map_err(|why| format!("{column} is not JSON: {why}"))?;
    if canonical::to_string(&value) == text {
        Ok(value)
    } else {
        Err(format!("{column} is not written canonically"))
    }
}
