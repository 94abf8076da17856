//! Rollouts as they stand, beside the log: what a later life of the brain goes on from.

use sqlx::Row as _;

use super::store::{AuditStore, StoreError, unpacked, words};
use crate::domain::KeptCanary;

/// Rollouts that are kept; the oldest go.
const MAX_KEPT: i64 = 200;
/// They are written often and read seldom.
const LEVEL: i32 = 1;

impl AuditStore {
    /// Keeps rollouts in place of what was kept of them before: all of them or none.
    ///
    /// # Errors
    /// They cannot be written; what was kept before stays.
    pub async fn keep_canaries(&mut self, canaries: &[KeptCanary]) -> Result<(), StoreError> {
        let error = |why: sqlx::Error| StoreError::Write(words(&why));
        let pack = |canary: &KeptCanary| zstd::encode_all(canary.state.as_bytes(), LEVEL);
        let packed = canaries.iter().map(pack).collect::<Result<Vec<_>, _>>();
        let packed = packed.map_err(|why| StoreError::Write(why.to_string()))?;
        let written = match self.begin().await {
            Ok(()) => self.put_canaries(canaries, packed).await,
            unbegun => unbegun,
        };
        self.end(written).await.map_err(error)
    }

    async fn put_canaries(
        &mut self,
        canaries: &[KeptCanary],
        packed: Vec<Vec<u8>>,
    ) -> Result<(), sqlx::Error> {
        for (canary, packed) in canaries.iter().zip(packed) {
            sqlx::query(
                "INSERT INTO canaries (id, at_ms, state) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (id) DO UPDATE SET at_ms = ?2, state = ?3",
            )
            .bind(&canary.id)
            .bind(canary.at_ms)
            .bind(packed)
            .execute(&mut self.connection)
            .await?;
        }
        sqlx::query(
            "DELETE FROM canaries WHERE id NOT IN (SELECT id FROM canaries ORDER BY at_ms DESC LIMIT ?1)",
        )
        .bind(MAX_KEPT)
        .execute(&mut self.connection)
        .await
        .map(|_| ())
    }

    /// What is kept, the oldest first.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn kept_canaries(&mut self) -> Result<Vec<KeptCanary>, StoreError> {
        let error = |why: sqlx::Error| StoreError::Read(words(&why));
        let rows = sqlx::query("SELECT id, at_ms, state FROM canaries ORDER BY at_ms")
            .fetch_all(&mut self.connection)
            .await
            .map_err(error)?;
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            let packed: Vec<u8> = row.try_get("state").map_err(error)?;
            let state =
                String::from_utf8(unpacked(&packed)?).map_err(|why| StoreError::Read(why.to_string()))?;
            let (id, at_ms) = (row.try_get("id").map_err(error)?, row.try_get("at_ms").map_err(error)?);
            kept.push(KeptCanary { id, at_ms, state });
        }
        Ok(kept)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rollout_is_read_back_as_it_was_kept_last() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |at_ms, state: &str| KeptCanary { id: "can-1".into(), at_ms, state: state.into() };
        let mut store = AuditStore::open(folder.path()).await.unwrap();
        store.keep_canaries(&[kept(1, "{}")]).await.unwrap();
        store.keep_canaries(&[kept(2, "{\"step\":2}")]).await.unwrap();
        // Killed: nothing is closed.
        drop(store);
        let mut store = AuditStore::open(folder.path()).await.unwrap();
        assert_eq!(store.kept_canaries().await.unwrap(), [kept(2, "{\"step\":2}")]);
    }
}
