//! Spans of sampled requests, sent to a collector by OTLP over gRPC, off the workers.
//!
//! A worker leaves a record in a bounded channel; what finds no room is dropped and counted, and so is
//! what the collector does not take in time. The SDK's own batch processor is absent on purpose: it
//! counts neither, and makes spans on the thread that ends them.

mod attributes;
mod convert;
mod export;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

pub use convert::spans_of;
pub use export::Exporter;

use super::record::Record;
use crate::settings::Export;

/// What became of spans since the start.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub sent: AtomicU64,
    /// Not taken by the collector: refused, or not in time.
    pub failed: AtomicU64,
    /// Requests whose spans found no room.
    pub dropped: AtomicU64,
}

/// Where workers leave records of sampled requests.
#[derive(Debug, Clone)]
pub struct SpanSender {
    sender: mpsc::Sender<Arc<Record>>,
    counts: Arc<SpanCounts>,
}

impl SpanSender {
    /// Leaves a record; never waits.
    pub fn send(&self, record: Arc<Record>) {
        if self.sender.try_send(record).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of spans.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }

    /// Requests that wait to be told.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// The workers' end, and the exporter's.
#[must_use]
pub fn channel(export: Export) -> (SpanSender, Exporter) {
    let (sender, records) = mpsc::channel(export.queue);
    let counts = Arc::new(SpanCounts::default());
    (SpanSender { sender, counts: Arc::clone(&counts) }, Exporter { export, records, counts })
}
