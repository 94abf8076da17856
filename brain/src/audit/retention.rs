//! Letting go of the log's old end, as brain.yaml says: never silently, and never what still stands.

use jiff::Timestamp;
use sqlx::Row as _;

use super::record::{Record, instant};
use super::standing::{Numbered, highest, last_modes, last_of, number};
use super::store::{AuditStore, StoreError, read_error};
use super::tombstone::{AuditKey, Tombstone};
use crate::domain::{Actor, Event};

/// What was done lately is still counted by the guard: it stays, whatever the policy says.
const ALWAYS_KEPT_MS: i64 = 2 * 3_600_000;
/// The most that is removed at once: the log is not written meanwhile.
pub const MAX_REMOVED: u64 = 20_000;

/// How much of the log is kept.
#[derive(Debug)]
pub struct Retention {
    /// Older records go; absent: age does not matter.
    pub keep_ms: Option<i64>,
    /// Of more than so many the oldest go; absent: number does not matter.
    pub keep_records: Option<u64>,
    /// Signs what stands in their place.
    pub key: AuditKey,
}

impl Retention {
    fn why(&self) -> String {
        let days = self.keep_ms.map(|ms| format!("{} days", ms / 86_400_000));
        let records = self.keep_records.map(|n| format!("{n} records"));
        let kept: Vec<String> = days.into_iter().chain(records).collect();
        format!("brain.yaml keeps {}", kept.join(" and "))
    }
}

impl AuditStore {
    /// Removes the oldest records that need not be kept, at most [`MAX_REMOVED`], and appends, in the same
    /// transaction, what of them still stands and a signed tombstone; what was appended.
    ///
    /// # Errors
    /// Nothing was removed.
    pub async fn retire(
        &mut self,
        now_ms: i64,
        keep: &Retention,
        by: &Actor,
    ) -> Result<Vec<Record>, StoreError> {
        let Some((first, through)) = self.retirable(now_ms, keep).await? else { return Ok(Vec::new()) };
        let mut events = self.restated(through).await?;
        let tombstone = keep.key.signed(self.tombstone(first, through, keep.why()).await?);
        events.push(Event::Tombstone { tombstone });
        let events: Vec<(Actor, Event)> = events.into_iter().map(|event| (by.clone(), event)).collect();
        self.commit(now_ms, &events, Some(through)).await
    }

    /// The first record that is there, and the last that may go.
    async fn retirable(&mut self, now_ms: i64, keep: &Retention) -> Result<Option<(u64, u64)>, StoreError> {
        const FIRST: &str = "SELECT min(seq) FROM audit WHERE at >= ?1";
        let Some(first) = number(&mut self.connection, FIRST, "").await? else { return Ok(None) };
        // A clock that was set back leaves older instants behind younger ones: what is young protects all after it.
        let mut before = async |ms: i64| {
            let at = instant(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN));
            let young = number(&mut self.connection, FIRST, &at).await?;
            Ok::<_, StoreError>(young.map_or(self.seq(), |seq| seq - 1))
        };
        let by_age = match keep.keep_ms {
            Some(ms) => before(now_ms.saturating_sub(ms)).await?,
            None => 0,
        };
        let latest = before(now_ms - ALWAYS_KEPT_MS).await?;
        let by_number = keep.keep_records.map_or(0, |n| self.seq().saturating_sub(n));
        let through = by_age.max(by_number).min(latest).min(first - 1 + MAX_REMOVED);
        Ok((through >= first).then_some((first, through)))
    }

    /// What the records up to `through` said and nothing later changed: it is said again.
    async fn restated(&mut self, through: u64) -> Result<Vec<Event>, StoreError> {
        let freeze = last_of(&mut self.connection, "frozen", "unfrozen").await?;
        let freeze = freeze.filter(|record| record.kind == "frozen");
        let mut standing = last_modes(&mut self.connection).await?;
        standing.extend(freeze);
        let old = standing.iter().filter(|record| record.seq <= through);
        Ok(old.filter_map(|record| record.event().ok()).collect())
    }

    async fn tombstone(&mut self, first: u64, through: u64, why: String) -> Result<Tombstone, StoreError> {
        let mut ends = Vec::new();
        for seq in [first, through] {
            let row = sqlx::query("SELECT at, hash FROM audit WHERE seq = ?1")
                .bind(i64::try_from(seq).unwrap_or(i64::MAX))
                .fetch_one(&mut self.connection)
                .await
                .map_err(read_error)?;
            ends.push((row.get::<String, _>("at"), row.get::<String, _>("hash")));
        }
        let mut numbers = std::collections::BTreeMap::new();
        for of in Numbered::ALL {
            numbers.insert(of.place().0.to_owned(), highest(&mut self.connection, of).await?);
        }
        let mut at = ends.iter().map(|(at, _)| at.clone());
        Ok(Tombstone {
            first_seq: first,
            through_seq: through,
            records: through - first + 1,
            from_at: at.next().unwrap_or_default(),
            through_at: at.next().unwrap_or_default(),
            head: ends.pop().map(|(_, hash)| hash).unwrap_or_default(),
            highest: numbers,
            why,
            signature: String::new(),
        })
    }
}
