//! `lightsout status`.

use std::process::ExitCode;

use super::client::{Connection, Failure};
use super::output::{Format, bad, good, harmless, instant, print, print_json, strong, table, word};
use crate::api::Status;

pub(super) async fn run(connection: &Connection, format: Format) -> Result<ExitCode, Failure> {
    let status: Status = connection.get(&["v1", "status"], &[]).await?;
    if status.protocol != protocol::PROTOCOL_VERSION {
        return Err(Failure::Failed(format!(
            "the brain at {} speaks protocol version {}, this command {}: use the `lightsout` it was started with",
            connection.url,
            status.protocol,
            protocol::PROTOCOL_VERSION
        )));
    }
    match format {
        Format::Json => print_json(&status)?,
        Format::Table => print(&story(&status))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn story(status: &Status) -> String {
    let mode = if status.frozen { bad("frozen") } else { strong(&word(&status.mode)) };
    let audit = if status.audit.ok { good("ok") } else { bad("cannot be written: no action is taken") };
    let counts = &status.counts;
    let mut text = format!(
        "lightsout {} · up {} s · epoch {}\nmode       {mode}\naudit      {audit}, {} records\n\
         services   {}\nincidents  {} open\nproposals  {} waiting for a person\nactions    {} live\n",
        harmless(&status.version),
        status.uptime_s,
        status.epoch,
        status.audit.seq,
        counts.services,
        counts.incidents_open,
        counts.proposals_pending,
        counts.actions_live,
    );
    if !status.proxies.is_empty() {
        let rows = status.proxies.iter().map(|p| {
            [
                p.proxy.clone(),
                p.admin.clone(),
                if p.reachable { "yes".to_owned() } else { "no".to_owned() },
                if p.last_window_ms == 0 { "none yet".to_owned() } else { instant(p.last_window_ms) },
                p.windows_refused.to_string(),
            ]
        });
        text.push('\n');
        text.push_str(&table(["PROXY", "ADMIN", "REACHABLE", "LAST WINDOW", "REFUSED"], rows));
    }
    text
}
