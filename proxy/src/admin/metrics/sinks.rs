//! The access log and the spans' exporter: absent where they are not configured.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::MetricFamily;

use super::family::{counter, gauge};
use crate::observability::Sinks;

pub(super) fn families(sinks: &Sinks) -> Vec<MetricFamily> {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut families = Vec::new();
    if let Some(log) = sinks.log.as_ref().map(|log| log.counts()) {
        let (written, dropped) = (read(&log.written), read(&log.dropped));
        families.push(counter("proxy_access_log_lines_total", "Lines written to the access log.", written));
        let help = "Lines of the access log lost: no room to wait, or not to be written.";
        families.push(counter("proxy_access_log_dropped_total", help, dropped));
    }
    if let Some(spans) = &sinks.spans {
        let counts = spans.counts();
        let (sent, failed) = (read(&counts.sent), read(&counts.failed));
        let help = "Spans that the collector took.";
        families.push(counter("proxy_spans_sent_total", help, sent));
        let help = "Spans that the collector did not take, or not in time.";
        families.push(counter("proxy_spans_failed_total", help, failed));
        let help = "Sampled requests without spans, because too many waited.";
        families.push(counter("proxy_spans_dropped_total", help, read(&counts.dropped)));
        let help = "Sampled requests whose spans wait to be sent.";
        families.push(gauge("proxy_spans_queue_length", help, spans.waiting() as f64));
    }
    families
}
