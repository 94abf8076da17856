//! `lightsout audit`: read the log, verify it, export it, with the brain up or down.

mod anchors;
mod explain;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use protocol::action::Items;

use super::client::{Connection, Failure};
use super::output::{Format, print, print_list};
use crate::audit::{AuditFilter, AuditReader, MAX_PAGE, Proof, Record};

/// Records printed at most; `audit export` writes all.
const MAX_PRINTED: usize = 10_000;
/// Records asked for at once.
const PAGE: u32 = 1_000;

/// `lightsout audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    /// At or after: RFC 3339, or an age such as 10m, 2h, 7d
    #[arg(long)]
    since: Option<String>,
    /// The event's kind, such as intent or incident_opened
    #[arg(long)]
    kind: Option<String>,
    /// Who did it
    #[arg(long)]
    actor: Option<String>,
    /// The service it is about
    #[arg(long)]
    service: Option<String>,
    /// The incident it belongs to
    #[arg(long)]
    incident: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Walk the hash chain; exit code 1 if it is broken
    Verify {
        /// Hold the log against the heads that were kept in this file
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
    /// Take a decision again from its record; exit code 1 if it comes out another
    Explain {
        /// A proposal, an action, an incident, or the seq of a record
        id: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Write all records as JSON lines
    Export {
        /// Where to; `-` is standard output
        file: PathBuf,
    },
}

pub(super) async fn run(connection: &Connection, args: AuditArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Some(AuditVerb::Verify { anchors }) => {
            let code = verify(connection).await?;
            if let Some(file) = anchors {
                anchors::hold(connection, file).await?;
            }
            Ok(code)
        }
        Some(AuditVerb::Export { file }) => export(connection, file).await,
        Some(AuditVerb::Explain { id, format }) => explain::run(connection, id, *format).await,
        None => list(connection, &args).await,
    }
}

async fn verify(connection: &Connection) -> Result<ExitCode, Failure> {
    // A data directory that is named is read itself: the answer does not depend on the brain's word.
    let proof: Proof = if connection.data_dir.is_some() {
        local(connection).await?.verify().await.map_err(Failure::failed)?
    } else {
        match connection.get(&["v1", "audit", "verify"], &[]).await {
            Err(Failure::Absent { .. }) if connection.data_dir().exists() => {
                local(connection).await?.verify().await.map_err(Failure::failed)?
            }
            other => other?,
        }
    };
    match proof.flaw {
        None => {
            let removed = match proof.removed_through {
                0 => String::new(),
                through => format!(" (records 1 to {through} were removed, as a signed tombstone says)"),
            };
            let (records, head) = (proof.records, proof.head);
            print(&format!("the audit log is intact: {records} records{removed}, head {head}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(flaw) => {
            Err(Failure::Failed(format!("the audit log is broken at seq {}: {}", flaw.seq, flaw.why)))
        }
    }
}

async fn export(connection: &Connection, file: &Path) -> Result<ExitCode, Failure> {
    let cannot = |why: std::io::Error| Failure::Failed(format!("cannot write {}: {why}", file.display()));
    let mut out: Box<dyn std::io::Write + Send> = if file == Path::new("-") {
        Box::new(BufWriter::new(std::io::stdout()))
    } else {
        Box::new(BufWriter::new(File::create(file).map_err(cannot)?))
    };
    let mut written: std::io::Result<u64> = Ok(0);
    let mut write = |record: &Record| {
        let line = serde_json::to_string(record).unwrap_or_default();
        let done = written.as_ref().copied().unwrap_or(0) + 1;
        written = writeln!(out, "{line}").map(|()| done);
        written.is_ok()
    };
    if connection.data_dir.is_none() && is_brain_up(connection).await {
        walk_remote(connection, &mut write).await?;
    } else {
        local(connection).await?.walk(write).await.map_err(Failure::failed)?;
    }
    match written.and_then(|n| out.flush().map(|()| n)) {
        Ok(n) => eprintln!("{n} records written to {}", file.display()),
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(why) => return Err(cannot(why)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn is_brain_up(connection: &Connection) -> bool {
    connection.get::<serde_json::Value>(&["v1", "status"], &[]).await.is_ok()
}

async fn walk_remote(connection: &Connection, each: &mut impl FnMut(&Record) -> bool) -> Result<(), Failure> {
    let mut filter = AuditFilter { limit: Some(MAX_PAGE), ..AuditFilter::default() };
    loop {
        let page: Items<Record> = connection.get(&["v1", "audit"], &query(&filter)).await?;
        filter.cursor = page.next.and_then(|next| next.parse().ok());
        if !page.items.iter().all(&mut *each) || filter.cursor.is_none() {
            return Ok(());
        }
    }
}

async fn local(connection: &Connection) -> Result<AuditReader, Failure> {
    AuditReader::open(&connection.data_dir()).await.map_err(Failure::failed)
}

async fn list(connection: &Connection, args: &AuditArgs) -> Result<ExitCode, Failure> {
    let records = records(connection, args).await?;
    let heads = ["SEQ", "AT", "ACTOR", "KIND", "SERVICE", "INCIDENT", "ACTION", "WHAT"];
    print_list(args.format, &records, "No records.", heads, |r| {
        let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        vec![[
            r.seq.to_string(),
            r.at.clone(),
            r.actor.id.clone(),
            r.kind.clone(),
            or_dash(&r.service),
            or_dash(&r.incident),
            or_dash(&r.action),
            gist(r),
        ]]
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The records asked for, page by page: from the file when a data directory is named, else from the
/// brain, else, when none answers, from the file in the usual place.
async fn records(connection: &Connection, args: &AuditArgs) -> Result<Items<Record>, Failure> {
    let since = args.since.as_deref().map(instant).transpose()?;
    let mut filter = AuditFilter {
        since,
        kind: args.kind.clone(),
        actor: args.actor.clone(),
        service: args.service.clone(),
        incident: args.incident.clone(),
        limit: Some(PAGE),
        ..AuditFilter::default()
    };
    let mut reader = match connection.data_dir {
        Some(_) => Some(local(connection).await?),
        None => None,
    };
    let mut records: Items<Record> = Items::all(Vec::new());
    while records.items.len() < MAX_PRINTED {
        let page = match &reader {
            Some(reader) => reader.page(&filter).await.map_err(Failure::failed)?,
            None => match connection.get(&["v1", "audit"], &query(&filter)).await {
                Err(Failure::Absent { .. }) if connection.data_dir().exists() => {
                    reader = Some(local(connection).await?);
                    continue;
                }
                other => other?,
            },
        };
        records.items.extend(page.items);
        filter.cursor = page.next.as_deref().and_then(|next| next.parse().ok());
        records.next = page.next;
        if records.next.is_none() {
            break;
        }
    }
    Ok(records)
}

/// The filter as the API's query.
fn query(filter: &AuditFilter) -> Vec<(&'static str, String)> {
    let given = [
        ("since", filter.since.map(|at| at.to_string())),
        ("kind", filter.kind.clone()),
        ("actor", filter.actor.clone()),
        ("service", filter.service.clone()),
        ("incident", filter.incident.clone()),
        ("cursor", filter.cursor.map(|seq| seq.to_string())),
        ("limit", filter.limit.map(|limit| limit.to_string())),
    ];
    given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The one field of a record that says most, on one line.
fn gist(record: &Record) -> String {
    const MAX_CHARS: usize = 90;
    let pointers = [
        "/why",
        "/judgement/why",
        "/effect/why",
        "/refusal/detail",
        "/reason",
        "/incident/summary",
        "/proposal/predicted_effect",
        "/action/reason",
        "/receipt/live_state_hash_after",
        "/mode",
    ];
    let found = pointers.iter().find_map(|p| record.data.pointer(p)?.as_str());
    found.unwrap_or_default().chars().take(MAX_CHARS).collect()
}

/// An instant, or how long ago.
fn instant(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let invalid =
        || Failure::Invalid(format!("--since {text:?}: give RFC 3339, or an age such as 10m, 2h, 7d"));
    let unit_s = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(invalid()),
    };
    let count: i64 = text.get(..text.len() - 1).and_then(|n| n.parse().ok()).ok_or_else(invalid)?;
    let age = jiff::SignedDuration::from_secs(count.checked_mul(unit_s).ok_or_else(invalid)?);
    Timestamp::now().checked_sub(age).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_or_an_instant_is_taken_and_nothing_else() {
        assert!(instant("10m").is_ok_and(|at| at < Timestamp::now()));
        assert!(instant("2026-11-21T00:00:00Z").is_ok());
        for wrong in ["", "m", "10", "ten minutes", "99999999999999999d", "5é"] {
            assert!(instant(wrong).is_err(), "{wrong:?}");
        }
    }
}
