//! `lightsout canary start`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use protocol::document::{Document, MAX_DOCUMENT_BYTES};
use serde_json::{Map, Value, json};

use super::super::client::{Connection, Failure};
use super::super::output::{Format, harmless, print, print_json};
use crate::canary::{Approval, CanarySpec, PreviewStage, Strategy};

/// `lightsout canary start`: by flags, or by a file whose values flags override.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// A document of `kind: Canary`, YAML or JSON
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The service
    #[arg(long, required_unless_present = "file")]
    service: Option<String>,
    /// The version users have
    #[arg(long, required_unless_present = "file")]
    stable: Option<String>,
    /// The version on trial
    #[arg(long, required_unless_present = "file")]
    canary: Option<String>,
    /// Its shares in percent, rising; where the last is not 100, a person promotes
    #[arg(long, value_delimiter = ',', value_name = "PERCENT,…")]
    steps: Option<Vec<u32>>,
    /// How it is tried
    #[arg(long, value_enum)]
    strategy: Option<Strategy>,
    /// First for those alone whose requests say so: header:NAME=VALUE or cookie:NAME=VALUE
    #[arg(long, value_parser = preview, value_name = "KEY=VALUE")]
    preview: Option<PreviewStage>,
    /// So many such requests must have come before users get it
    #[arg(long, requires = "preview", value_name = "COUNT")]
    preview_requests: Option<u64>,
    /// With strategy mirror: copy so much of what is only read (GET, HEAD, OPTIONS), percent
    #[arg(long, value_name = "PERCENT")]
    copies: Option<u32>,
    /// It may cost so many failed requests that the stable version would not have had; then it is rolled back
    #[arg(long, value_name = "COUNT")]
    max_failures: Option<u64>,
    /// It never gets more than this before it is promoted, percent
    #[arg(long, value_name = "PERCENT")]
    max_weight: Option<u32>,
    /// The least time on each step
    #[arg(long, value_parser = span, value_name = "30s")]
    min_bake: Option<Duration>,
    /// Without a verdict it ends undecided
    #[arg(long, value_parser = span, value_name = "30m")]
    max_duration: Option<Duration>,
    /// So long after the promotion it can be taken back
    #[arg(long, value_parser = span, value_name = "10m")]
    rollback_window: Option<Duration>,
    /// What waits for a person
    #[arg(long, value_enum)]
    approval: Option<Approval>,
    /// How to print the id
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// `90s`, `30m`, `1h30m`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span: SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is no duration such as 90s or 30m"))?;
    let span = Duration::try_from(span).map_err(|_| format!("{text:?} is negative"))?;
    if span.subsec_nanos() > 0 { Err(format!("{text:?} is no whole number of seconds")) } else { Ok(span) }
}

/// `header:x-preview=yes`.
fn preview(text: &str) -> Result<PreviewStage, String> {
    let (key, value) = text.split_once('=').ok_or("say header:NAME=VALUE or cookie:NAME=VALUE")?;
    let stage: PreviewStage =
        serde_json::from_value(json!({ "key": key, "value": value })).map_err(|why| why.to_string())?;
    stage.mistake().map_or(Ok(stage), Err)
}

pub(super) async fn run(connection: &Connection, args: StartArgs) -> Result<ExitCode, Failure> {
    let format = args.format;
    let spec = spec(args)?;
    let answer: Value = connection.post(&["v1", "canaries"], &spec).await?;
    match format {
        Format::Json => print_json(&answer)?,
        Format::Table => print(&format!("{}\n", harmless(answer["id"].as_str().unwrap_or_default())))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn spec(args: StartArgs) -> Result<CanarySpec, Failure> {
    let invalid = |why: protocol::document::Report| Failure::Invalid(why.to_string());
    let file = args.file.clone();
    let flags = flags(args);
    let Some(path) = file else { return by_flags(flags) };
    let (name, text) = (path.display().to_string(), read(&path)?);
    let document = Document::parse(&name, &text).map_err(invalid)?;
    if flags.is_empty() {
        return checked(&document);
    }
    // Flags win over the file: both together are one document.
    let mut given: Map<String, Value> = document.read().map_err(invalid)?;
    given.extend(flags);
    let text = Value::Object(given).to_string();
    checked(&Document::parse(&format!("{name} with the flags"), &text).map_err(invalid)?)
}

fn checked(document: &Document) -> Result<CanarySpec, Failure> {
    let spec: CanarySpec = document.read().map_err(|why| Failure::Invalid(why.to_string()))?;
    match spec.findings() {
        none if none.is_empty() => Ok(spec),
        some => Err(Failure::Invalid(document.report(some).to_string())),
    }
}

/// Without a file a mistake has no line: it is told by its flag.
fn by_flags(flags: Map<String, Value>) -> Result<CanarySpec, Failure> {
    let invalid = |why: String| Failure::Invalid(why);
    let spec: CanarySpec =
        serde_json::from_value(Value::Object(flags)).map_err(|why| invalid(why.to_string()))?;
    let told = |(path, why): (String, String)| {
        let key = path.trim_start_matches('/').trim_end_matches("_s");
        let flag = if key == "error_budget" { "max-failures".to_owned() } else { key.replace('_', "-") };
        format!("--{flag} {why}")
    };
    match spec.findings() {
        none if none.is_empty() => Ok(spec),
        some => Err(invalid(some.into_iter().map(told).collect::<Vec<_>>().join("\n"))),
    }
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    let invalid = |why: String| Failure::Invalid(format!("{}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|why| invalid(why.to_string()))?.len();
    if size > MAX_DOCUMENT_BYTES as u64 {
        return Err(invalid("the file is too large".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|why| invalid(why.to_string()))
}

fn flags(args: StartArgs) -> Map<String, Value> {
    let seconds = |span: Option<Duration>| span.map(|span| json!(span.as_secs()));
    let preview = args
        .preview
        .map(|stage| PreviewStage { requests: args.preview_requests.unwrap_or(stage.requests), ..stage });
    let all = [
        ("service", args.service.map(Value::from)),
        ("stable", args.stable.map(Value::from)),
        ("canary", args.canary.map(Value::from)),
        ("steps", args.steps.map(Value::from)),
        ("strategy", args.strategy.map(|strategy| json!(strategy))),
        ("preview", preview.map(|stage| json!(stage))),
        ("copies", args.copies.map(|percent| json!({ "percent": percent }))),
        ("error_budget", args.max_failures.map(|failures| json!({ "failures": failures }))),
        ("max_weight", args.max_weight.map(Value::from)),
        ("min_bake_s", seconds(args.min_bake)),
        ("max_duration_s", seconds(args.max_duration)),
        ("rollback_window_s", seconds(args.rollback_window)),
        ("approval", args.approval.map(|approval| json!(approval))),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_said_in_one_word() {
        let stage = preview("header:x-preview=a=b").unwrap();
        assert_eq!((stage.key.as_str(), stage.value.as_str()), ("header:x-preview", "a=b"));
        assert!(preview("x-preview=yes").is_err() && preview("header:x-preview").is_err());
    }

    #[test]
    fn durations_are_what_people_write() {
        assert_eq!(span("30m").unwrap(), Duration::from_secs(1_800));
        assert_eq!(span("1h30m").unwrap(), Duration::from_secs(5_400));
        assert!(span("30").is_err() && span("-3s").is_err() && span("soon").is_err());
        assert!(span("1500ms").is_err(), "it would be taken for a second");
    }
}
