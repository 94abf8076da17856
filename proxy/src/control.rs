//! The one owner of configuration, leases and registry: it derives the table and swaps it in.
//!
//! Two locks. `turn` lets one change at a time through that must be durable before it is answered (it is
//! held across a write to the state file). `inner` is held for moments only and never across a wait, so
//! that neither an expiry nor the kill switch ever waits for a disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use protocol::action::{ActionRequest, LeaseRow, Receipt, RenewRequest};
use protocol::id::{ActionId, Epoch, ProxyId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::leases::Refusal;
use crate::settings::Settings;
use crate::state_file::{Persisted, StateFile};
use crate::table::{SharedTable, Table};
use crate::upstream::endpoint_state::Registry;
use crate::upstream::sessions::Secret;

mod expiry;
mod handing_over;
mod inner;
mod reload;
mod reloads;
#[cfg(test)]
pub(crate) mod tests;

use inner::Inner;
pub use reload::NeedsRestart;
pub use reloads::{Reloads, ReloadsSeen};

/// See the module.
pub struct Control {
    /// This proxy.
    pub proxy: ProxyId,
    /// Which life of it.
    pub boot: String,
    /// What became of reloads.
    pub reloads: Reloads,
    started: Instant,
    registry: Registry,
    table: SharedTable,
    state_file: StateFile,
    turn: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    /// Told when the next expiry may have moved.
    leases_changed: Notify,
}

/// What `/status` and `/metrics` need to know.
#[derive(Debug, Clone)]
pub struct View {
    /// The table in force.
    pub table: Arc<Table>,
    /// Active leases, by id.
    pub leases: Vec<LeaseRow>,
    /// Epoch and freeze.
    pub persisted: Persisted,
    /// Since the start.
    pub uptime: Duration,
    /// Leases dropped because they no longer fitted, since the start.
    pub leases_dropped: u64,
}

impl Control {
    /// The first table: `settings` without any lease; `sessions` is what sessions' cookies are made with.
    #[must_use]
    pub fn start(
        settings: Arc<Settings>,
        proxy: ProxyId,
        boot: String,
        state_file: StateFile,
        held: Persisted,
        sessions: Secret,
    ) -> Arc<Self> {
        let registry = Registry::new(sessions);
        let inner = Inner::new(settings, held);
        let table = Arc::new(ArcSwap::from_pointee(inner.table(&registry)));
        let turn = tokio::sync::Mutex::new(());
        Arc::new(Self {
            proxy,
            boot,
            reloads: Reloads::default(),
            started: Instant::now(),
            registry,
            table,
            state_file,
            turn,
            inner: Mutex::new(inner),
            leases_changed: Notify::new(),
        })
    }

    /// The pointer that workers load.
    #[must_use]
    pub fn table(&self) -> SharedTable {
        Arc::clone(&self.table)
    }

    /// Everything at one moment.
    #[must_use]
    pub fn view(&self) -> View {
        let inner = self.inner();
        View {
            table: self.table.load_full(),
            leases: inner.leases.rows(),
            persisted: inner.held.clone(),
            uptime: self.started.elapsed(),
            leases_dropped: inner.leases_dropped,
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.table.load().live.settings)
    }

    /// Takes an action, or answers again what was answered for it.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    pub async fn put(&self, id: ActionId, request: ActionRequest) -> Result<Receipt, Refusal> {
        let _turn = self.turn.lock().await;
        let (epoch, now) = (request.epoch, self.started.elapsed());
        // Judged before the epoch is written down, so that what is refused changes nothing, and again
        // after, because a lease may have ended or an operator may have frozen meanwhile.
        self.inner().judge(&id, &request, now)?;
        self.raise(epoch).await?;
        let before = self.promote(&request).await?;
        let taken = self.change(|inner| inner.put(id, request, now, Timestamp::now()));
        if let (Err(_), Some(before)) = (&taken, before) {
            self.write(&before).await?;
        }
        taken
    }

    /// Makes sure that a promotion, or its end, survives a restart before it takes effect. What was
    /// written before, where it is another.
    async fn promote(&self, request: &ActionRequest) -> Result<Option<Persisted>, Refusal> {
        let (held, promotions) = {
            let inner = self.inner();
            (inner.held.clone(), inner.leases.promotions_with(request))
        };
        if promotions == held.promotions {
            return Ok(None);
        }
        self.write(&Persisted { promotions, ..held.clone() }).await?;
        Ok(Some(held))
    }

    /// Lets a lease live on, counted from now.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    pub async fn renew(&self, id: &ActionId, request: RenewRequest) -> Result<Receipt, Refusal> {
        let _turn = self.turn.lock().await;
        let now = self.started.elapsed();
        self.inner().judge_renewal(id, request, now)?;
        self.raise(request.epoch).await?;
        self.change(|inner| inner.renew(id, request, now, Timestamp::now()))
    }

    /// Ends a lease.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed then.
    pub async fn undo(&self, id: &ActionId, epoch: Epoch) -> Result<Receipt, Refusal> {
        let _turn = self.turn.lock().await;
        let now = self.started.elapsed();
        self.inner().judge_undo(id, epoch, now)?;
        self.raise(epoch).await?;
        self.change(|inner| inner.undo(id, epoch, now, Timestamp::now()))
    }

    /// The kill switch: all leases end now, and none is taken until [`Self::unfreeze`]. It takes effect
    /// even where it cannot be written down.
    ///
    /// # Errors
    /// [`Refusal::Storage`] when a restart would forget it.
    pub async fn freeze(&self) -> Result<(), Refusal> {
        self.change(Inner::freeze);
        let _turn = self.turn.lock().await;
        // Once more: an unfreeze may have had the turn before.
        let held = self.change(|inner| {
            inner.freeze();
            inner.held.clone()
        });
        tracing::warn!("frozen: all leases dropped, no action is taken");
        self.write(&held).await
    }

    /// Takes actions again.
    ///
    /// # Errors
    /// [`Refusal::Storage`] when it cannot be written down; the proxy is then still frozen.
    pub async fn unfreeze(&self) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        let held = Persisted { frozen: false, ..self.inner().held.clone() };
        self.write(&held).await?;
        self.inner().held.frozen = false;
        tracing::warn!("unfrozen: actions are taken again");
        Ok(())
    }

    /// Makes sure that `epoch` survives a restart before anything is done in its name.
    async fn raise(&self, epoch: Epoch) -> Result<(), Refusal> {
        let held = self.inner().held.clone();
        if epoch <= held.epoch {
            return Ok(());
        }
        self.write(&Persisted { epoch, ..held }).await?;
        self.inner().held.epoch = epoch;
        tracing::info!(%epoch, "a new epoch");
        Ok(())
    }

    async fn write(&self, held: &Persisted) -> Result<(), Refusal> {
        if self.inner().handed_over {
            // The file is another process's by now.
            return Err(Refusal::HandedOver);
        }
        let (file, held) = (self.state_file.clone(), held.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&held)).await;
        let written = written.map_err(|why| Refusal::Storage(why.to_string()))?;
        written.map_err(|why| {
            tracing::error!("{why}");
            Refusal::Storage(why.to_string())
        })
    }

    /// Changes what decides, and swaps in what it means if that is something else.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        let answer = change(&mut inner);
        let live = &self.table.load().live;
        // A certificate is no part of the configuration's text, and not of its hash.
        if inner.live.hash != live.hash || !inner.live.settings.has_certificates_of(&live.settings) {
            inner.generation += 1;
            self.table.store(Arc::new(inner.table(&self.registry)));
        }
        self.leases_changed.notify_one();
        answer
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
