//! What the brain does, as it happens, read from its audit log through its API.

use anyhow::{Context, Result};
use jiff::Timestamp;
use protocol::action::Items;
use serde::Deserialize;
use serde_json::Value;

/// One audit record, as far as the demo reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// Its number.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    /// `incident_opened`, `intent`, …
    pub kind: String,
    /// The action it is about.
    #[serde(default)]
    pub action: Option<String>,
    /// Everything else.
    #[serde(default)]
    pub data: Value,
}

impl Line {
    /// A text inside `data`, by JSON pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Milliseconds since the epoch.
    pub fn at_ms(&self) -> i64 {
        self.at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond)
    }
}

/// The audit log of one run, growing.
pub struct Feed {
    client: reqwest::Client,
    url: String,
    since: Timestamp,
    /// All records so far, in order.
    pub lines: Vec<Line>,
}

impl Feed {
    /// The log of the brain at `api` from now on: a folder that is used again holds earlier runs.
    pub fn new(api: &str) -> Self {
        let url = format!("{api}/v1/audit");
        Self { client: reqwest::Client::new(), url, since: Timestamp::now(), lines: Vec::new() }
    }

    /// Reads what is new; how many records that were.
    ///
    /// # Errors
    /// When the brain does not answer, or not with a list.
    pub async fn poll(&mut self) -> Result<usize> {
        let known = self.lines.len();
        let mut cursor: Option<String> = self.lines.last().map(|line| line.seq.to_string());
        loop {
            let mut query = vec![("since", self.since.to_string())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let request = self.client.get(&self.url).query(&query);
            let page: Items<Line> =
                request.send().await?.error_for_status()?.json().await.context("no list")?;
            self.lines.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(self.lines.len() - known);
            }
        }
    }
}
