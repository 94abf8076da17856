//! The client of the proxies' action API: in order per proxy, all proxies at once, never in the way of a turn.

use std::collections::HashMap;
use std::time::Duration;

use protocol::action::{Problem, Receipt};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::mesh_client::MeshClient;
use crate::clock::wall_clock_ms;
use crate::domain::{Command, Outcome, Refusal, Reply, Verb};
use crate::ingest::{ProxyTable, Target};
use crate::metrics::Metrics;
use crate::webhook::scaler::{SCALER, Scaler};

/// How long a proxy may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Commands that wait for one proxy.
const MAX_WAITING: usize = 64;
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// The longest refusal that is repeated.
const MAX_DETAIL_CHARS: usize = 400;

/// A command that was not even tried.
#[derive(Debug)]
pub struct Unsent {
    /// Which.
    pub command: Command,
    /// Why not.
    pub why: String,
}

/// Sends commands; each reply goes to one channel.
#[derive(Debug)]
pub struct ActionClient {
    http: MeshClient,
    proxies: ProxyTable,
    replies: mpsc::Sender<Reply>,
    metrics: Metrics,
    lanes: HashMap<String, mpsc::Sender<Command>>,
    /// Who is asked for replicas, if anybody is.
    pub scaler: Option<Scaler>,
}

impl ActionClient {
    /// A client that finds proxies in `proxies` and reports to `replies`.
    #[must_use]
    pub fn new(
        http: MeshClient,
        proxies: ProxyTable,
        replies: mpsc::Sender<Reply>,
        metrics: Metrics,
    ) -> Self {
        Self { http, proxies, replies, metrics, lanes: HashMap::new(), scaler: None }
    }

    /// Puts a command into its proxy's lane; returns at once.
    ///
    /// # Errors
    /// The command and why it was not even tried.
    pub fn send(&mut self, command: Command) -> Result<(), Box<Unsent>> {
        if let Some(scaler) = self.scaler.as_ref().filter(|_| command.proxy == SCALER) {
            return scaler.send(command);
        }
        if self.proxies.target(&command.proxy).is_none() {
            let why = format!("proxy {} is not known", command.proxy);
            return Err(Box::new(Unsent { command, why }));
        }
        let lane = self.lanes.entry(command.proxy.clone()).or_insert_with(|| {
            let (lane, commands) = mpsc::channel(MAX_WAITING);
            let worker = Lane {
                http: self.http.clone(),
                proxies: self.proxies.clone(),
                replies: self.replies.clone(),
                metrics: self.metrics.clone(),
            };
            // Ends when the client is dropped.
            tokio::spawn(worker.carry(commands));
            lane
        });
        lane.try_send(command).map_err(|unsent| {
            let (command, why) = match unsent {
                TrySendError::Full(command) => {
                    (command, format!("more than {MAX_WAITING} commands wait for this proxy"))
                }
                TrySendError::Closed(command) => (command, "the client is shutting down".to_owned()),
            };
            Box::new(Unsent { command, why })
        })
    }
}

/// One proxy's commands, one after the other.
struct Lane {
    http: MeshClient,
    proxies: ProxyTable,
    replies: mpsc::Sender<Reply>,
    metrics: Metrics,
}

impl Lane {
    async fn carry(self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            let outcome = match self.proxies.target(&command.proxy) {
                Some(target) => ask(&self.http.current(), &target, &command).await,
                None => refused(0, "the proxy is not known"),
            };
            let label = match &outcome {
                Outcome::Taken(_) => "taken",
                Outcome::Removed => "removed",
                Outcome::Refused(Refusal { status: 0, .. }) => "unreachable",
                Outcome::Refused(_) => "refused",
            };
            self.metrics.commands.with_label_values(&[label]).inc();
            let reply = Reply { command, at_ms: wall_clock_ms(), outcome };
            if self.replies.send(reply).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(http: &Client, target: &Target, command: &Command) -> Outcome {
    let Some(request) = request(http, target, command) else {
        return refused(0, "the admin URL cannot carry a path");
    };
    match request.send().await {
        Ok(response) => outcome(command, response).await,
        Err(why) if why.is_timeout() => refused(0, "no answer in time"),
        Err(why) => refused(0, &without_url(why)),
    }
}

fn request(http: &Client, target: &Target, command: &Command) -> Option<RequestBuilder> {
    let mut url: Url = target.admin.clone();
    // Segments are escaped: an id cannot change the path.
    url.path_segments_mut().ok()?.clear().extend(["v1", "actions"]).push(&command.action);
    let request = match &command.verb {
        Verb::Put(body) => http.request(Method::PUT, url).json(body),
        Verb::Renew(body) => {
            url.path_segments_mut().ok()?.push("renew");
            http.request(Method::POST, url).json(body)
        }
        Verb::Remove { epoch } => {
            url.query_pairs_mut().append_pair("epoch", &epoch.to_string());
            http.request(Method::DELETE, url)
        }
    };
    Some(target.show(request).timeout(TIMEOUT))
}

async fn outcome(command: &Command, response: Response) -> Outcome {
    let status = response.status();
    let removing = matches!(command.verb, Verb::Remove { .. });
    if removing && (status.is_success() || status == StatusCode::NOT_FOUND) {
        return Outcome::Removed;
    }
    let Some(body) = bounded_body(response, MAX_ANSWER_BYTES).await else {
        return refused(status.as_u16(), "the answer broke off or is too long");
    };
    if !status.is_success() {
        let problem = serde_json::from_slice::<Problem>(&body);
        let words = problem
            .map_or_else(|_| String::from_utf8_lossy(&body).into_owned(), |problem| problem.to_string());
        return refused(status.as_u16(), &words);
    }
    match serde_json::from_slice::<Receipt>(&body) {
        Ok(receipt) if receipt.id.as_str() == command.action => Outcome::Taken(receipt),
        Ok(_) => refused(status.as_u16(), "the receipt names another action"),
        Err(why) => refused(status.as_u16(), &format!("the receipt cannot be read: {why}")),
    }
}

/// The whole body, if it is not longer than `limit`.
pub(crate) async fn bounded_body(mut response: Response, limit: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > limit {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// A refusal in words that are bounded and print on one line, whatever was answered.
fn refused(status: u16, words: &str) -> Outcome {
    let detail = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL_CHARS).collect();
    Outcome::Refused(Refusal { status, detail })
}

/// The reason at the root: "connection refused" rather than "error sending request".
fn without_url(why: reqwest::Error) -> String {
    let why = why.without_url();
    let mut source: &dyn std::error::Error = &why;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    source.to_string()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
