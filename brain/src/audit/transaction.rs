//! Writing all of it or nothing, in the database's own words: BEGIN, COMMIT, ROLLBACK.
//!
//! A failing disk makes the database end a transaction by itself. sqlx's own transactions do not notice: they
//! nest the next one in what is no more or, worse, in what is never committed, and what was acknowledged is lost.

use protocol::canonical;

use super::record::Record;
use super::store::AuditStore;

impl AuditStore {
    /// Appends `records` and removes what is gone: all of it or nothing.
    pub(super) async fn write(
        &mut self,
        records: &[Record],
        gone_through: Option<u64>,
    ) -> Result<(), sqlx::Error> {
        let written = match self.begin().await {
            Ok(()) => self.insert(records, gone_through).await,
            unbegun => unbegun,
        };
        self.end(written).await
    }

    async fn insert(&mut self, records: &[Record], gone_through: Option<u64>) -> Result<(), sqlx::Error> {
        for record in records {
            let actor = serde_json::to_value(&record.actor).unwrap_or_default();
            sqlx::query("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
                .bind(i64::try_from(record.seq).unwrap_or(i64::MAX))
                .bind(&record.at)
                .bind(canonical::to_string(&actor))
                .bind(&record.kind)
                .bind(&record.service)
                .bind(&record.incident)
                .bind(&record.action)
                .bind(canonical::to_string(&record.data))
                .bind(&record.prev_hash)
                .bind(&record.hash)
                .execute(&mut self.connection)
                .await?;
        }
        if let Some(last) = records.last() {
            sqlx::query("INSERT INTO meta (key, value) VALUES ('head', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1")
                .bind(format!("{} {}", last.seq, last.hash))
                .execute(&mut self.connection)
                .await?;
        }
        if let Some(seq) = gone_through {
            sqlx::query("DELETE FROM audit WHERE seq <= ?1")
                .bind(i64::try_from(seq).unwrap_or(0))
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Begins a transaction, which [`Self::end`] ends whether it could be begun or not.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.say("BEGIN").await
    }

    /// Commits what is done, or leaves nothing of it behind.
    pub(super) async fn end(&mut self, done: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
        let ended = match done {
            Ok(()) => self.say("COMMIT").await,
            failed => failed,
        };
        if ended.is_err() {
            // Where the database has rolled back by itself there is nothing left to roll back.
            let _ = self.say("ROLLBACK").await;
        }
        ended
    }

    async fn say(&mut self, word: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(word).execute(&mut self.connection).await.map(|_| ())
    }
}
