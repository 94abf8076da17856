//! `lightsout services`.

use std::process::ExitCode;

use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, percent, print_list};
use crate::domain::{ServiceView, Silence};

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let services: Items<ServiceView> = connection.get(&["v1", "services"], &[]).await?;
    let heads = ["SERVICE", "ENDPOINT", "REQ/S", "FAILURES", "P50 MS", "P99 MS", "WEIGHT"];
    print_list(format, &services, "No traffic in the last ten seconds.", heads, rows)?;
    Ok(ExitCode::SUCCESS)
}

fn rows(service: &ServiceView) -> Vec<[String; 7]> {
    let whole = [
        service.service.clone(),
        String::new(),
        format!("{:.1}", service.rps),
        percent(service.failure_share),
        format!("{:.1}", service.p50_ms),
        format!("{:.1}", service.p99_ms),
        heard(service),
    ];
    let endpoint = |e: &crate::domain::EndpointView| {
        let weight = e.weight.map_or_else(|| "?".to_owned(), |w| w.to_string());
        [
            String::new(),
            format!("{} {}", e.endpoint, e.version).trim_end().to_owned(),
            format!("{:.1}", e.rps),
            percent(e.failure_share),
            String::new(),
            format!("{:.1}", e.p99_ms),
            if e.ejected { "ejected".to_owned() } else { weight },
        ]
    };
    std::iter::once(whole).chain(service.endpoints.iter().map(endpoint)).collect()
}

/// Why less than all is known of it, in two words.
fn heard(service: &ServiceView) -> String {
    let gone = service.lost_proxies.len() + service.mute_proxies.len();
    match service.silence {
        Some(Silence::NoTraffic) => "no traffic".to_owned(),
        Some(Silence::NoTelemetry) => "no telemetry".to_owned(),
        Some(Silence::LostProxies) => "proxies lost".to_owned(),
        None if gone > 0 => format!("{gone} proxies silent"),
        None => String::new(),
    }
}
