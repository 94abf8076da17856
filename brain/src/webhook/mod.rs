//! Telling other systems: JSON over HTTP, signed, tried a few times, never in the way of a turn.
//!
//! The signature is HMAC-SHA256 over `TIMESTAMP.BODY`, hex, in `X-Lightsout-Signature: sha256=…`, the Unix time
//! in `X-Lightsout-Timestamp`: a receiver that checks both takes neither a forged nor a replayed message.

pub mod anchors;
pub mod notices;
pub mod scaler;

use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::Sha256;

use crate::action::client::bounded_body;
use crate::clock::wall_clock_ms;
use crate::domain::Refusal;

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Before the second try; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Tries of one message.
const MAX_TRIES: u32 = 4;
/// Of an answer, what is read and what is repeated, bytes and characters.
const MAX_ANSWER_BYTES: usize = 4_096;
const MAX_ANSWER_CHARS: usize = 200;
/// The longest secret that is read.
const MAX_SECRET_BYTES: usize = 4_096;

/// One receiver.
#[derive(Clone)]
pub struct Webhook {
    http: Client,
    url: Url,
    secret: Option<Vec<u8>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A Slack URL is a secret by itself.
        write!(f, "Webhook({})", self.url.host_str().unwrap_or_default())
    }
}

impl Webhook {
    /// A receiver at `url` who knows the secret in the file at `secret_path`.
    ///
    /// # Errors
    /// The file cannot be read or is empty; the HTTP client cannot be built.
    pub fn new(url: Url, secret_path: Option<&Path>) -> Result<Self, String> {
        let secret = secret_path.map(secret).transpose()?;
        let http = crate::action::mesh_client::direct_client(TIMEOUT).map_err(|why| why.to_string())?;
        Ok(Self { http, url, secret })
    }

    /// Sends `body`, at most [`MAX_TRIES`] times; what the receiver refuses is not sent again.
    ///
    /// # Errors
    /// The last reason, without the URL.
    pub async fn send(&self, body: &serde_json::Value) -> Result<(), String> {
        let body = body.to_string();
        let mut pause = FIRST_PAUSE;
        for _ in 1..MAX_TRIES {
            match self.once(&body).await {
                Err(Failure::Passing(why)) => tracing::debug!(why, "a webhook is tried again"),
                Err(Failure::Final(why)) => return Err(why),
                Ok(()) => return Ok(()),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(&body).await.map_err(|failure| match failure {
            Failure::Passing(why) | Failure::Final(why) => why,
        })
    }

    /// Sends `body` once, to somebody whose answer matters: its words, on one line.
    ///
    /// # Errors
    /// The status (0: none came) and what was said with it, without the URL.
    pub async fn ask(&self, body: &serde_json::Value) -> Result<String, Refusal> {
        let answer = self.post(&body.to_string()).await;
        let response = answer.map_err(|why| Refusal { status: 0, detail: why.without_url().to_string() })?;
        let status = response.status();
        let said = bounded_body(response, MAX_ANSWER_BYTES).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_ANSWER_CHARS).collect();
        if status.is_success() {
            return Ok(format!("{status}: {said}"));
        }
        Err(Refusal { status: status.as_u16(), detail: format!("{status}: {said}") })
    }

    async fn once(&self, body: &str) -> Result<(), Failure> {
        let response = self.post(body).await;
        let status = response.map_err(|why| Failure::Passing(why.without_url().to_string()))?.status();
        if status.is_success() {
            Ok(())
        } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Passing(format!("it answered {status}")))
        } else {
            Err(Failure::Final(format!("it answered {status}")))
        }
    }

    async fn post(&self, body: &str) -> reqwest::Result<Response> {
        let at_s = wall_clock_ms() / 1_000;
        let mut request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("x-lightsout-timestamp", at_s.to_string());
        if let Some(secret) = &self.secret {
            let signature = signature(secret, at_s, body);
            request = request.header("x-lightsout-signature", format!("sha256={signature}"));
        }
        request.body(body.to_owned()).send().await
    }
}

enum Failure {
    /// Another try may do.
    Passing(String),
    /// None will.
    Final(String),
}

fn secret(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let secret = text.trim().as_bytes().to_vec();
    if secret.is_empty() || secret.len() > MAX_SECRET_BYTES {
        return Err(format!("{} holds no secret of 1 to {MAX_SECRET_BYTES} bytes", path.display()));
    }
    Ok(secret)
}

/// HMAC-SHA256 (RFC 2104) over `TIMESTAMP.BODY`, hex.
#[must_use]
pub fn signature(secret: &[u8], at_s: i64, body: &str) -> String {
    sign(secret, format!("{at_s}.{body}").as_bytes())
}

/// HMAC-SHA256, hex.
#[must_use]
pub fn sign(secret: &[u8], message: &[u8]) -> String {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(message);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign(b"Jefe", b"what do ya want for nothing?"), expected);
        assert_ne!(signature(b"k", 1, "x"), signature(b"k", 2, "x"), "the time is signed too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_receiver_is_tried_four_times_and_then_left() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let hook = Webhook::new(format!("http://127.0.0.1:{port}/").parse().unwrap(), None).unwrap();
        let before = tokio::time::Instant::now();
        assert!(hook.send(&serde_json::json!({})).await.is_err());
        assert!(before.elapsed() >= Duration::from_secs(7), "1 + 2 + 4 seconds of pauses");
    }

    #[test]
    fn a_debug_print_shows_no_path_and_no_secret() {
        let hook = Webhook::new("https://hooks.example/T0/B0/topsecret".parse().unwrap(), None).unwrap();
        assert_eq!(format!("{hook:?}"), "Webhook(hooks.example)");
    }
}
