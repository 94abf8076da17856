//! One question to one provider: OpenAI and whoever speaks its API, Azure OpenAI, Anthropic. A hard deadline, a
//! bounded answer, no redirect, and no word of the wire beyond its text and its count of tokens.

use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use crate::action::client::bounded_body;
use crate::action::mesh_client::direct_client;
use crate::decision::advisor::{MAX_ANSWER_BYTES, Question, RULES, schema};

/// The largest response that is read: the answer and what providers put around it.
const MAX_RESPONSE_BYTES: usize = MAX_ANSWER_BYTES * 4;
/// The most a model may say.
const MAX_TOKENS: u32 = 800;
/// Anthropic's version of its API.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `POST {base}/chat/completions`.
    OpenAi,
    /// `POST {base}/openai/deployments/{model}/chat/completions`.
    Azure,
    /// `POST {base}/v1/messages`.
    Anthropic,
}

/// Speaks to one model.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    provider: Provider,
    base: Url,
    model: String,
    key: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?}, {})", self.provider, self.model)
    }
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its words.
    pub text: String,
    /// Tokens in and out; the most possible where it did not say.
    pub tokens: u64,
}

impl Client {
    /// A client of `model` at `base`, that shows `key` and waits at most `deadline`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(
        provider: Provider,
        base: Url,
        model: String,
        key: String,
        deadline: Duration,
    ) -> Result<Self, String> {
        let http = direct_client(deadline).map_err(|why| why.to_string())?;
        Ok(Self { http, provider, base, model, key })
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Asks.
    ///
    /// # Errors
    /// No answer in time, or none that is one; in words without the key and the URL.
    pub async fn ask(&self, question: &Question) -> Result<Said, String> {
        let request = self.request(question).ok_or("the base URL cannot carry a path")?;
        let response = request.send().await.map_err(|why| why.without_url().to_string())?;
        let status = response.status();
        let body = bounded_body(response, MAX_RESPONSE_BYTES).await;
        let body = body.ok_or("the answer broke off or is too long")?;
        if !status.is_success() {
            return Err(format!("it answered {status}"));
        }
        let body: Value = serde_json::from_slice(&body).map_err(|_| "the response is no JSON")?;
        self.said(&body).ok_or_else(|| "the response holds no answer".to_owned())
    }

    fn request(&self, question: &Question) -> Option<RequestBuilder> {
        let mut url = self.base.clone();
        let shown = question.shown.to_string();
        let format = json!({
            "type": "json_schema",
            "json_schema": {"name": "advice", "strict": true, "schema": schema(question)}
        });
        let chat = json!({
            "model": self.model, "temperature": 0, "max_tokens": MAX_TOKENS, "response_format": format,
            "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": shown}]
        });
        match self.provider {
            Provider::OpenAi => {
                url.path_segments_mut().ok()?.pop_if_empty().extend(["chat", "completions"]);
                Some(self.http.post(url).bearer_auth(&self.key).json(&chat))
            }
            Provider::Azure => {
                let path = ["openai", "deployments", &self.model, "chat", "completions"];
                url.path_segments_mut().ok()?.pop_if_empty().extend(path);
                if url.query().is_none() {
                    url.query_pairs_mut().append_pair("api-version", "2024-10-21");
                }
                Some(self.http.post(url).header("api-key", &self.key).json(&chat))
            }
            Provider::Anthropic => {
                url.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "messages"]);
                // An answer by schema is the input of a tool that it must use.
                let tool = json!({"name": "advise", "description": "Your advice.", "input_schema": schema(question)});
                let body = json!({
                    "model": self.model, "max_tokens": MAX_TOKENS, "temperature": 0, "system": RULES,
                    "messages": [{"role": "user", "content": shown}],
                    "tools": [tool], "tool_choice": {"type": "tool", "name": "advise"}
                });
                let request = self.http.post(url).header("x-api-key", &self.key);
                Some(request.header("anthropic-version", ANTHROPIC_VERSION).json(&body))
            }
        }
    }

    fn said(&self, body: &Value) -> Option<Said> {
        let count = |pointer: &str| body.pointer(pointer).and_then(Value::as_u64);
        let (text, tokens) = match self.provider {
            Provider::OpenAi | Provider::Azure => {
                let text = body.pointer("/choices/0/message/content")?.as_str()?.to_owned();
                (text, count("/usage/total_tokens"))
            }
            Provider::Anthropic => {
                let used = |part: &&Value| part["type"] == "tool_use" && part["name"] == "advise";
                let input = &body["content"].as_array()?.iter().find(used)?["input"];
                let (asked, said) = (count("/usage/input_tokens"), count("/usage/output_tokens"));
                (input.to_string(), asked.zip(said).map(|(a, b)| a.saturating_add(b)))
            }
        };
        // One that does not say what it cost has cost as much as a character a token.
        let most = (text.len() + RULES.len()) as u64 + u64::from(MAX_TOKENS);
        Some(Said { text, tokens: tokens.unwrap_or(most) })
    }
}
