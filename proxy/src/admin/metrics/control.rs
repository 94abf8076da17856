//! What control knows: configuration, leases, reports to the brain.

use prometheus::proto::MetricFamily;

use super::Readings;
use super::family::{Family, counter, gauge};
use crate::control::{ReloadsSeen, View};
use crate::identity::{expiry, validity};

pub(super) fn families(view: &View, readings: &Readings, reloads: &ReloadsSeen) -> Vec<MetricFamily> {
    let mut families = vec![
        gauge("proxy_active_leases", "Leased actions in force.", view.leases.len() as f64),
        counter(
            "proxy_leases_dropped_total",
            "Leases dropped because they no longer fitted the configuration.",
            view.leases_dropped,
        ),
        gauge("proxy_frozen", "1 while no action is taken.", f64::from(u8::from(view.persisted.frozen))),
        gauge("proxy_epoch", "The highest epoch of a brain seen.", view.persisted.epoch.0 as f64),
        counter(
            "proxy_telemetry_windows_dropped_total",
            "Telemetry windows dropped because the brain did not take them.",
            readings.windows_dropped,
        ),
        gauge("proxy_uptime_seconds", "Since the start.", view.uptime.as_secs_f64()),
        build(),
        config(view),
    ];
    families.extend(of_reloads(reloads));
    families.push(certificates(view));
    families
}

fn build() -> MetricFamily {
    let mut family = Family::gauge("proxy_build_info", "1; the label says which build.");
    family.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    family.done()
}

/// One series at a time: the hashes are labels, because they are no numbers.
fn config(view: &View) -> MetricFamily {
    let live = &view.table.live;
    let mut family = Family::gauge("proxy_config_info", "1; the labels say what is in force.");
    family.add(&[("config_hash", &live.settings.hash), ("live_state_hash", &live.hash)], 1.0);
    family.done()
}

/// Labels are files of the configuration. Negative: it has expired.
fn certificates(view: &View) -> MetricFamily {
    let help = "Seconds until a certificate expires, by its file and what it is for.";
    let (mut family, now) = (Family::gauge("proxy_certificate_expiry_seconds", help), validity::now());
    for (named, validity) in expiry::certificates(&view.table.live.settings) {
        let file = named.file.display().to_string();
        family.add(&[("file", &file), ("kind", named.kind)], (validity.until - now) as f64);
    }
    family.done()
}

fn of_reloads(reloads: &ReloadsSeen) -> [MetricFamily; 3] {
    let mut count = Family::counter("proxy_config_reloads_total", "Reloads by result.");
    count.add(&[("result", "taken")], reloads.taken as f64);
    count.add(&[("result", "refused")], reloads.refused as f64);
    [
        count.done(),
        gauge(
            "proxy_config_last_reload_successful",
            "1 unless the last reload was refused.",
            f64::from(u8::from(reloads.last_was_taken)),
        ),
        gauge(
            "proxy_config_last_reload_success_timestamp_seconds",
            "Unix time at which the configuration in force was taken.",
            reloads.in_force_since_ms as f64 / 1e3,
        ),
    ]
}
