//! `observability`, judged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::findings::{Findings, Place};
use super::listeners::non_empty;
use crate::config;
use crate::observability::access_log::{Field, Layout, Template};
use crate::observability::trace::{Format, Ratio};

/// What is told of each request.
#[derive(Debug, Clone, Default)]
pub struct Observability {
    /// Where one is written.
    pub access_log: Option<Arc<AccessLog>>,
    /// Where traces are taken part in.
    pub tracing: Option<Arc<Tracing>>,
}

/// The access log.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Where to. Fixed at the start.
    pub target: LogTarget,
    /// How a line is written.
    pub layout: Layout,
    /// Share of requests written.
    pub sample: Ratio,
    /// Whether requests that failed are written whatever `sample` says.
    pub errors: bool,
    /// Lines that may wait. Fixed at the start.
    pub queue: usize,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
}

/// Taking part in traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// The collector. Fixed at the start, like all that concerns it.
    pub export: Option<Export>,
    /// Share of the traces begun here that are recorded.
    pub sample: Ratio,
    /// How traces are read and said on.
    pub formats: Vec<Format>,
}

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// `http://HOST:PORT`.
    pub endpoint: String,
    /// `service.name`.
    pub service_name: String,
    /// For one batch.
    pub timeout: Duration,
    /// Requests that may wait.
    pub queue: usize,
}

impl Observability {
    /// Whether what is fixed at the start is the same.
    #[must_use]
    pub fn starts_like(&self, other: &Self) -> bool {
        let log = |o: &Self| o.access_log.as_ref().map(|log| (log.target.clone(), log.queue));
        let export = |o: &Self| o.tracing.as_ref().and_then(|tracing| tracing.export.clone());
        log(self) == log(other) && export(self) == export(other)
    }
}

pub(super) fn observability(
    config: &config::Observability,
    at: &Place,
    findings: &mut Findings,
) -> Observability {
    let log = access_log(&config.access_log, &at.at("access_log"), findings);
    let tracing = config.tracing.as_ref().map(|given| tracing(given, &at.at("tracing"), findings));
    Observability {
        access_log: config.access_log.enabled.then(|| Arc::new(log)),
        tracing: tracing.map(Arc::new),
    }
}

/// Judged even where it is switched off, so that switching it on holds no surprise.
fn access_log(config: &config::AccessLog, at: &Place, findings: &mut Findings) -> AccessLog {
    findings.range(&at.at("sample"), config.sample, 0.0..=1.0);
    findings.range(&at.at("queue"), config.queue, 1..=1_048_576);
    non_empty(&config.path, &at.at("path"), findings);
    let redacted = fields(&config.redact, &at.at("redact"), findings);
    let layout = match config.format {
        config::LogFormat::Json => {
            if config.template.is_some() {
                findings.add(&at.at("template"), "a template belongs to the text format; json has `fields`");
            }
            let given = config.fields.as_ref().map(|given| fields(given, &at.at("fields"), findings));
            Layout::json(given.unwrap_or_else(|| Field::ALL.to_vec()), redacted)
        }
        config::LogFormat::Text => {
            if config.fields.is_some() {
                findings.add(&at.at("fields"), "fields belong to the json format; text has a `template`");
            }
            Layout::text(template(config.template.as_deref(), &at.at("template"), findings), redacted)
        }
    };
    AccessLog {
        target: match config.path.as_str() {
            "stdout" => LogTarget::Stdout,
            "stderr" => LogTarget::Stderr,
            path => LogTarget::File(PathBuf::from(path)),
        },
        layout,
        sample: Ratio::new(config.sample),
        errors: config.errors,
        queue: config.queue as usize,
    }
}

fn fields(given: &[String], at: &Place, findings: &mut Findings) -> Vec<Field> {
    let mut fields = Vec::with_capacity(given.len());
    for (n, name) in given.iter().enumerate() {
        match Field::named(name) {
            Some(field) if fields.contains(&field) => {
                findings.add(&at.at(n), format!("{name} is there twice"))
            }
            Some(field) => fields.push(field),
            None => findings.add(&at.at(n), unknown(name)),
        }
    }
    fields
}

fn template(given: Option<&str>, at: &Place, findings: &mut Findings) -> Template {
    Template::parse(given.unwrap_or(Template::USUAL)).unwrap_or_else(|why| {
        findings.add(at, why);
        Template::default()
    })
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    format!("{name:?} is no field of the access log; there are {}", known.join(", "))
}

fn tracing(config: &config::Tracing, at: &Place, findings: &mut Findings) -> Tracing {
    findings.range(&at.at("sample"), config.sample, 0.0..=1.0);
    findings.range(&at.at("queue"), config.queue, 1..=1_048_576);
    if config.service_name.trim().is_empty() || config.service_name.len() > 256 {
        findings.add(&at.at("service_name"), "a service's name has 1 to 256 bytes");
    }
    let timeout = findings.duration(&at.at("timeout_ms"), config.timeout_ms, 1);
    let endpoint = config.endpoint.as_ref().inspect(|endpoint| {
        if !is_collector(endpoint) {
            findings.add(&at.at("endpoint"), format!("{endpoint:?} is no http://HOST:PORT"));
        }
    });
    let mut formats = Vec::new();
    for (n, format) in config.propagation.iter().enumerate() {
        let format = match format {
            config::PropagationFormat::W3c => Format::W3c,
            config::PropagationFormat::B3 => Format::B3,
            config::PropagationFormat::B3multi => Format::B3Multi,
        };
        if formats.contains(&format) {
            findings.add(&at.at("propagation").at(n), "a format is there twice");
        }
        formats.push(format);
    }
    Tracing {
        export: endpoint.map(|endpoint| Export {
            endpoint: endpoint.clone(),
            service_name: config.service_name.clone(),
            timeout,
            queue: config.queue as usize,
        }),
        sample: Ratio::new(config.sample),
        formats,
    }
}

/// In clear text only: a collector beside the proxy, or behind another proxy that has TLS.
fn is_collector(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    uri.scheme_str() == Some("http") && uri.port_u16().is_some_and(|port| port > 0) && bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_a_collector_is_one() {
        assert!(is_collector("http://127.0.0.1:4317") && is_collector("http://[::1]:4317/"));
        for other in ["127.0.0.1:4317", "https://h:4317", "http://h", "http://h:0", "http://h:1/v1/traces"] {
            assert!(!is_collector(other), "{other}");
        }
    }
}
