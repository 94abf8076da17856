//! The task that sends: batches, each within its time, and what could not be sent counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{SpanCounts, spans_of};
use crate::observability::record::Record;
use crate::settings::Export;

/// Requests in one batch, at most.
const MAX_BATCH: usize = 512;
/// For a batch to fill.
const GATHER: Duration = Duration::from_millis(200);
/// At the end, for what still waits.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// Complaints about the collector are at least this far apart.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(30);

/// The exporter before it is run.
#[derive(Debug)]
pub struct Exporter {
    pub(super) export: Export,
    pub(super) records: mpsc::Receiver<Arc<Record>>,
    pub(super) counts: Arc<SpanCounts>,
}

impl Exporter {
    /// Sends until `stop`, and then what still waits, [`FLUSH_WITHIN`] a batch: whoever runs this bounds the
    /// whole. Must run on a tokio runtime.
    pub async fn run(mut self, instance: String, stop: CancellationToken) {
        let sender = match self.sender(instance) {
            Ok(sender) => sender,
            Err(why) => return tracing::error!("no spans are sent: {why}"),
        };
        let mut complained: Option<Instant> = None;
        while let Some(batch) = self.gather(&stop).await {
            let sent = self.send(&sender, &batch, &stop).await;
            if let Err(why) = sent
                && complained.is_none_or(|at| at.elapsed() >= BETWEEN_COMPLAINTS)
            {
                let collector = &self.export.endpoint;
                tracing::warn!(collector, "spans are lost, traffic is not affected: {why}");
                complained = Some(Instant::now());
            }
        }
    }

    fn sender(&self, instance: String) -> Result<SpanExporter, ExporterBuildError> {
        let builder = SpanExporter::builder().with_tonic().with_endpoint(self.export.endpoint.clone());
        let mut sender = builder.with_timeout(self.export.timeout).build()?;
        let resource = Resource::builder().with_service_name(self.export.service_name.clone());
        let attributes = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ];
        sender.set_resource(&resource.with_attributes(attributes).build());
        Ok(sender)
    }

    /// A batch as soon as there is anything, after a moment for more; `None` when nothing comes any more,
    /// which after `stop` is as soon as nothing waits.
    async fn gather(&mut self, stop: &CancellationToken) -> Option<Vec<Arc<Record>>> {
        let mut batch = Vec::new();
        let first = tokio::select! {
            first = self.records.recv_many(&mut batch, MAX_BATCH) => first,
            () = stop.cancelled() => {
                self.records.close();
                self.records.recv_many(&mut batch, MAX_BATCH).await
            }
        };
        if first == 0 {
            return None;
        }
        let more = async {
            while batch.len() < MAX_BATCH {
                let room = MAX_BATCH - batch.len();
                if self.records.recv_many(&mut batch, room).await == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            () = more => {}
            () = sleep(GATHER) => {}
            () = stop.cancelled() => {}
        }
        Some(batch)
    }

    /// Within the collector's time, and after `stop` within what is left of the end's.
    async fn send(
        &self,
        sender: &SpanExporter,
        batch: &[Arc<Record>],
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let spans: Vec<_> = batch.iter().flat_map(|record| spans_of(record)).collect();
        let count = spans.len() as u64;
        let within = self.export.timeout;
        let ends = async {
            stop.cancelled().await;
            sleep(FLUSH_WITHIN).await;
        };
        let sent = tokio::select! {
            sent = timeout(within, sender.export(spans)) => match sent {
                Ok(sent) => sent.map_err(|why| why.to_string()),
                Err(_) => Err(format!("not taken within {within:?}")),
            },
            () = ends => Err("the proxy ends".to_owned()),
        };
        let counter = if sent.is_ok() { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(count, Ordering::Relaxed);
        sent
    }
}
