//! What the brain counts about itself, for `GET /metrics`.

use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::forecast::Forecast;

/// Counters and gauges; cheap to clone, shared by all tasks. Labels come from closed sets or, for forecasts, from at most 512 services.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Windows taken.
    pub windows: IntCounter,
    /// Windows and frames refused, by reason.
    pub windows_refused: IntCounterVec,
    /// Windows that cannot be true, by reason.
    pub windows_quarantined: IntCounterVec,
    /// Cells of series beyond the bound.
    pub cells_overflowed: IntCounter,
    /// Incidents open now.
    pub incidents_open: IntGauge,
    /// Actions that live now.
    pub actions_live: IntGauge,
    /// The last audit record.
    pub audit_seq: IntGauge,
    /// 1 while the audit log can be written.
    pub audit_ok: IntGauge,
    /// Commands to proxies, by outcome.
    pub commands: IntCounterVec,
    /// Policy reloads that failed; the last good policies stay.
    pub policy_reloads_failed: IntCounter,
    /// Requests turned away at the door of the API, by reason.
    pub turned_away: IntCounterVec,
    /// Event streams that lost messages because their reader was slow.
    pub events_lagged: IntCounter,
    /// Windows that a recording lost because the disk could not take them in time.
    pub recording_lost: IntCounter,
    /// Load to come, in 15 minutes, by service and end of the interval.
    pub forecast_rps: GaugeVec,
    /// How long a turn of the control loop takes.
    pub tick_seconds: Histogram,
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// Two of them have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let buckets = vec![0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 1.0];
        let tick_seconds = Histogram::with_opts(
            HistogramOpts::new("lightsout_tick_duration_seconds", "Duration of a turn of the control loop")
                .buckets(buckets),
        )?;
        registry.register(Box::new(tick_seconds.clone()))?;
        let forecast_rps = GaugeVec::new(
            Opts::new(
                "lightsout_forecast_requests_per_second",
                "Load expected in 15 minutes, with the ends of the 90 % interval",
            ),
            &["service", "bound"],
        )?;
        registry.register(Box::new(forecast_rps.clone()))?;
        Ok(Self {
            forecast_rps,
            windows: counter("lightsout_windows_total", "Telemetry windows taken")?,
            windows_refused: counters(
                "lightsout_windows_refused_total",
                "Windows and frames refused",
                "reason",
            )?,
            windows_quarantined: counters(
                "lightsout_windows_quarantined_total",
                "Windows set aside because they cannot be true",
                "reason",
            )?,
            cells_overflowed: counter(
                "lightsout_cells_overflowed_total",
                "Cells not judged because of the bound on series",
            )?,
            incidents_open: gauge("lightsout_incidents_open", "Incidents that are open")?,
            actions_live: gauge("lightsout_actions_live", "Actions that are live")?,
            audit_seq: gauge("lightsout_audit_seq", "Sequence number of the last audit record")?,
            audit_ok: gauge("lightsout_audit_ok", "Whether the audit log can be written")?,
            commands: counters("lightsout_commands_total", "Commands sent to proxies", "outcome")?,
            policy_reloads_failed: counter(
                "lightsout_policy_reloads_failed_total",
                "Policy changes that did not load",
            )?,
            recording_lost: counter(
                "lightsout_recording_windows_lost_total",
                "Windows a recording lost because the disk could not take them in time",
            )?,
            turned_away: counters(
                "lightsout_api_turned_away_total",
                "Requests to the API that were not let in: unauthenticated, locked, forbidden or misdirected",
                "reason",
            )?,
            events_lagged: counter("lightsout_events_lagged_total", "Messages slow event streams lost")?,
            tick_seconds,
            registry,
        })
    }

    /// Shows these forecasts and no others.
    pub fn show_forecasts(&self, forecasts: &[Forecast]) {
        self.forecast_rps.reset();
        for forecast in forecasts {
            let Some(last) = forecast.minutes.last() else { continue };
            let bounds = [("expected", last.expected_rps), ("low", last.low_rps), ("high", last.high_rps)];
            for (bound, rps) in bounds {
                self.forecast_rps.with_label_values(&[forecast.service.as_str(), bound]).set(rps);
            }
        }
    }

    /// The exposition text.
    ///
    /// # Errors
    /// A metric that cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut out = Vec::new();
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}
