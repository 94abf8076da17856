//! Metric families by hand: what is exposed is read at the moment of asking, not kept twice.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Summary,
};

use crate::telemetry::shard::{RESPONSE_TIME_BOUNDS_S, TimesSnapshot};

/// Names and values of one series.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A family being filled.
#[derive(Debug)]
pub(super) struct Family(MetricFamily);

impl Family {
    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    pub(super) fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::HISTOGRAM)
    }

    /// Without quantiles: a sum and a count, where buckets for each series would be too many.
    pub(super) fn summary(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::SUMMARY)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family)
    }

    /// One series of a counter or a gauge.
    pub(super) fn add(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = series(labels);
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// One series of a histogram.
    pub(super) fn times(&mut self, labels: Labels<'_>, times: &TimesSnapshot) {
        let mut so_far = 0;
        let bucket = |(bound, n): (f64, &u64)| {
            so_far += n;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(so_far);
            bucket
        };
        let buckets: Vec<Bucket> =
            RESPONSE_TIME_BOUNDS_S.into_iter().zip(&times.buckets).map(bucket).collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(times.count());
        histogram.set_sample_sum(seconds(times.sum_us));
        let mut metric = series(labels);
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }

    /// One series of a summary.
    pub(super) fn sum(&mut self, labels: Labels<'_>, count: u64, sum_us: u64) {
        let mut summary = Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(seconds(sum_us));
        let mut metric = series(labels);
        metric.set_summary(summary);
        self.0.mut_metric().push(metric);
    }

    /// As it is exposed.
    pub(super) fn done(self) -> MetricFamily {
        self.0
    }
}

/// A counter of one series without labels.
pub(super) fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut family = Family::counter(name, help);
    family.add(&[], value as f64);
    family.done()
}

/// A gauge of one series without labels.
pub(super) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut family = Family::gauge(name, help);
    family.add(&[], value);
    family.done()
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn series(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
