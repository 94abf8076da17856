//! What is told of each request: its place in a trace, a line in the access log, spans.
//!
//! Nothing here makes a request wait, and what is not configured costs a branch.

pub mod access_log;
pub(crate) mod passage;
pub mod record;
pub mod spans;
pub(crate) mod story;
pub mod trace;

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use http::HeaderValue;
use http::request::Parts;
use tokio::time::Instant;

use access_log::{AccessLogWriter, LogSender};
use passage::Passage;
use record::Record;
use spans::SpanSender;
use story::Story;
use trace::Ids;

use crate::settings::Observability;

/// Where records are left; shared by all workers.
#[derive(Debug, Clone, Default)]
pub struct Sinks {
    /// Where an access log is written.
    pub log: Option<LogSender>,
    /// Where spans are sent.
    pub spans: Option<SpanSender>,
}

impl Sinks {
    /// Opens what `settings` ask for, and says what must be run on the control runtime to send spans.
    ///
    /// # Errors
    /// The access log's file cannot be opened.
    pub fn open(settings: &Observability) -> io::Result<(Self, Option<spans::Exporter>)> {
        let log = settings.access_log.as_ref();
        let log = log.map(|log| AccessLogWriter::start(log.target.clone(), log.queue)).transpose()?;
        let export = settings.tracing.as_ref().and_then(|tracing| tracing.export.clone());
        let (spans, exporter) = export.map(spans::channel).unzip();
        Ok((Self { log, spans }, exporter))
    }
}

/// One worker's.
#[derive(Debug)]
pub(crate) struct Observer {
    sinks: Sinks,
    pub(crate) ids: Ids,
}

impl Observer {
    pub(crate) fn new(sinks: Sinks) -> Rc<Self> {
        Rc::new(Self { sinks, ids: Ids::default() })
    }

    /// A request begins: how its trace goes on, and its story, where they are wanted.
    pub(crate) fn begin(
        self: &Rc<Self>,
        settings: &Observability,
        (parts, client, id): (&Parts, IpAddr, &HeaderValue),
        started: Instant,
    ) -> (Option<Passage>, Option<Rc<Story>>) {
        let exports = self.sinks.spans.is_some();
        let tracing = settings.tracing.as_ref();
        let passage = tracing.map(|tracing| Passage::of(&parts.headers, tracing, exports, &self.ids));
        let span = passage.as_ref().map(Passage::span);
        let log = settings.access_log.as_ref().filter(|_| self.sinks.log.is_some());
        let wanted = log.is_some() || span.is_some_and(|span| span.sampled);
        let story = wanted.then(|| {
            let record = Record { span, ..Record::of(parts, client, id) };
            Story::begin(self, log.cloned(), record, started)
        });
        (passage, story)
    }
}
