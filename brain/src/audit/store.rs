//! The store's one writer: opens `lightsout.db`, appends records, remembers the epoch.
//!
//! One brain a store: a lock file beside it is held for as long as the writer lives. Readers
//! ([`super::AuditReader`]) need no lock and disturb nobody.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _};

use super::record::{FIRST_PREV_HASH, Record};
use crate::domain::{Actor, Event};

/// Each step of the schema, in order; embedded, so that the program needs no folder beside it.
const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "audit", include_str!("../../../migrations/sqlite/0001_audit.sql")),
    (2, "memory", include_str!("../../../migrations/sqlite/0002_memory.sql")),
    (3, "canaries", include_str!("../../../migrations/sqlite/0003_canaries.sql")),
    (4, "retention", include_str!("../../../migrations/sqlite/0004_retention.sql")),
];
/// `application_id` of a Lightsout store.
const APPLICATION_ID: i64 = 1_280_594_767;
/// Memory is written often and read seldom.
const MEMORY_LEVEL: i32 = 1;
/// The most that is unpacked of it.
const MAX_MEMORY_BYTES: u64 = 256 << 20;
const FILE_NAME: &str = "lightsout.db";
const LOCK_NAME: &str = "lightsout.lock";

/// Why the store cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("cannot use data directory {path}: {why}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// Another brain holds it.
    #[error("another brain is running on {0}: stop it, or give this one a data_dir of its own")]
    Locked(PathBuf),
    /// There is none.
    #[error("there is no audit log at {0}")]
    Absent(PathBuf),
    /// Some other program's database.
    #[error("{0} is not a Lightsout store: move it away or choose another data_dir")]
    Foreign(PathBuf),
    /// It cannot be opened.
    #[error("cannot open {path}: {why}")]
    Open {
        /// Which.
        path: PathBuf,
        /// The database's words.
        why: String,
    },
    /// It cannot be written.
    #[error("the audit log cannot be written ({0}): nothing will be done until it can")]
    Write(String),
    /// It cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Read(String),
}

/// The path of the database in a data directory.
pub(super) fn database(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// The log's end: the last record's seq and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    seq: u64,
    hash: String,
}

/// The one writer of a data directory.
#[derive(Debug)]
pub struct AuditStore {
    pub(super) connection: SqliteConnection,
    head: Head,
    epoch: u64,
    // Held until the writer is gone.
    _lock: Flock<File>,
}

impl AuditStore {
    /// Opens the store in `data_dir`, making what is absent, and takes the next epoch durably.
    ///
    /// # Errors
    /// [`StoreError`]: locked by another brain, not ours, unreadable, full.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let folder_error = |why| StoreError::Folder { path: data_dir.to_owned(), why };
        std::fs::create_dir_all(data_dir).map_err(folder_error)?;
        let lock = lock(data_dir)?;
        let path = database(data_dir);
        let open_error = |why: String| StoreError::Open { path: path.clone(), why };
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .busy_timeout(Duration::from_secs(5))
            .connect()
            .await
            .map_err(|why| open_error(words(&why)))?;
        check_owner(&mut connection, &path).await?;
        prepare(&mut connection).await.map_err(open_error)?;
        let head = read_head(&mut connection).await?;
        let mut store = Self { connection, head, epoch: 0, _lock: lock };
        let last = store.stored_epoch().await?;
        store.raise_epoch(last).await?;
        Ok(store)
    }

    /// This brain's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last record's seq.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// Takes the epoch after `seen`, durably, where it is above the present one.
    ///
    /// # Errors
    /// It cannot be written; the epoch stays.
    pub async fn raise_epoch(&mut self, seen: u64) -> Result<u64, StoreError> {
        let epoch = seen.saturating_add(1).max(self.epoch);
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES ('epoch', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
        )
        .bind(epoch.to_string())
        .execute(&mut self.connection)
        .await
        .map_err(|why| StoreError::Write(words(&why)))?;
        self.epoch = epoch;
        Ok(epoch)
    }

    /// Keeps what this brain knows at `at_ms`, in place of what was kept before. Not part of the log.
    ///
    /// # Errors
    /// It cannot be written; what was kept before stays.
    pub async fn remember(&mut self, at_ms: i64, knowledge: &[u8]) -> Result<(), StoreError> {
        let data =
            zstd::encode_all(knowledge, MEMORY_LEVEL).map_err(|why| StoreError::Write(why.to_string()))?;
        sqlx::query("INSERT INTO memory (id, at_ms, data) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET at_ms = ?1, data = ?2")
            .bind(at_ms)
            .bind(data)
            .execute(&mut self.connection)
            .await
            .map_err(|why| StoreError::Write(words(&why)))?;
        Ok(())
    }

    /// What was kept last, if anything was.
    ///
    /// # Errors
    /// It cannot be read, or is larger than any brain's knowledge.
    pub async fn remembered(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT data FROM memory WHERE id = 1").fetch_optional(&mut self.connection);
        let Some(row) = row.await.map_err(read_error)? else { return Ok(None) };
        let packed: Vec<u8> = row.try_get(0).map_err(read_error)?;
        unpacked(&packed).map(Some)
    }

    /// Appends one record an event, all or none, and returns when they are on the disk.
    ///
    /// # Errors
    /// Nothing was appended.
    pub async fn append(&mut self, at_ms: i64, events: &[(Actor, Event)]) -> Result<Vec<Record>, StoreError> {
        self.commit(at_ms, events, None).await
    }

    /// The same and, with `gone_through`, removes the records up to that one: all of it or nothing.
    pub(super) async fn commit(
        &mut self,
        at_ms: i64,
        events: &[(Actor, Event)],
        gone_through: Option<u64>,
    ) -> Result<Vec<Record>, StoreError> {
        let records = self.chained(at_ms, events)?;
        match self.write(&records, gone_through).await {
            Ok(()) => {
                if let Some(last) = records.last() {
                    self.head = Head { seq: last.seq, hash: last.hash.clone() };
                }
                Ok(records)
            }
            Err(why) => {
                let why = words(&why);
                // A commit that failed may still have been carried out: only the file knows.
                let found = read_head(&mut self.connection).await?;
                if records.last().is_some_and(|last| last.hash == found.hash) {
                    self.head = found;
                    return Ok(records);
                }
                Err(StoreError::Write(why))
            }
        }
    }

    fn chained(&self, at_ms: i64, events: &[(Actor, Event)]) -> Result<Vec<Record>, StoreError> {
        let mut head = self.head.clone();
        let mut records = Vec::with_capacity(events.len());
        for (actor, event) in events {
            let record = Record::of(head.seq + 1, at_ms, actor, event, &head.hash)
                .map_err(|why| StoreError::Write(why.to_string()))?;
            head = Head { seq: record.seq, hash: record.hash.clone() };
            records.push(record);
        }
        Ok(records)
    }

    /// Closes the file in order, so that nothing is left in the write-ahead log.
    pub async fn close(self) {
        if let Err(why) = self.connection.close().await {
            tracing::warn!(%why, "the audit log did not close cleanly; it is complete nevertheless");
        }
    }

    async fn stored_epoch(&mut self) -> Result<u64, StoreError> {
        let value: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'epoch'")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(read_error)?;
        Ok(value.and_then(|v| v.parse().ok()).unwrap_or(0))
    }

    /// Bounds the file's size, as a full disk would.
    #[cfg(test)]
    pub(crate) async fn fill(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("PRAGMA max_page_count = 1").execute(&mut self.connection).await.map(|_| ())
    }

    /// Lifts the bound again.
    #[cfg(test)]
    pub(crate) async fn make_room(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("PRAGMA max_page_count = 1000000").execute(&mut self.connection).await.map(|_| ())
    }
}

/// What was packed by this store.
pub(super) fn unpacked(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let unpacked =
        zstd::Decoder::new(packed).and_then(|decoder| decoder.take(MAX_MEMORY_BYTES).read_to_end(&mut bytes));
    unpacked.map_err(|why| StoreError::Read(why.to_string()))?;
    Ok(bytes)
}

fn lock(data_dir: &Path) -> Result<Flock<File>, StoreError> {
    let path = data_dir.join(LOCK_NAME);
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(|why| StoreError::Folder { path: data_dir.to_owned(), why })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| StoreError::Locked(data_dir.to_owned()))
}

/// Refuses a file that some other program made. An empty one is ours to fill.
pub(super) async fn check_owner(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let open_error = |why: sqlx::Error| StoreError::Open { path: path.to_owned(), why: words(&why) };
    let id: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(open_error)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(open_error)?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        Ok(())
    } else {
        Err(StoreError::Foreign(path.to_owned()))
    }
}

async fn prepare(connection: &mut SqliteConnection) -> Result<(), String> {
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
        sqlx::query(pragma.into_sql_str()).execute(&mut *connection).await.map_err(|why| words(&why))?;
    }
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.to_vec())
        .run_direct(None, connection, false)
        .await
        .map_err(|why| why.to_string())
}

async fn read_head(connection: &mut SqliteConnection) -> Result<Head, StoreError> {
    let row = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(connection)
        .await
        .map_err(read_error)?;
    Ok(row.map_or_else(
        || Head { seq: 0, hash: FIRST_PREV_HASH.to_owned() },
        |row| Head { seq: u64::try_from(row.get::<i64, _>("seq")).unwrap_or(0), hash: row.get("hash") },
    ))
}

/// What reading failed with.
pub(super) fn read_error(why: sqlx::Error) -> StoreError {
    StoreError::Read(words(&why))
}

/// The database's own words, without the wrapper's.
pub(super) fn words(why: &sqlx::Error) -> String {
    match why {
        sqlx::Error::Database(database) => database.message().to_owned(),
        other => other.to_string(),
    }
}
