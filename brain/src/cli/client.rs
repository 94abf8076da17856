//! The verbs' way to the brain: its URL, its token, its answers.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use protocol::action::Problem;
use reqwest::{Client, Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::default_data_dir;
use crate::action::client::bounded_body;
use crate::action::mesh_client::direct;
use crate::token::Token;

/// Verifying a long log takes its time; everything else answers in a second.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Where the brain is, and what to show it.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The brain's API
    #[arg(long, global = true, env = "LIGHTSOUT_URL", default_value = "http://127.0.0.1:7070")]
    pub url: String,
    /// A file with the API's token (LIGHTSOUT_TOKEN holds the token itself; else DATA_DIR/api.token)
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the authorities that are believed where the URL is https, PEM [default: those of the system]
    #[arg(long, global = true, env = "LIGHTSOUT_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// A file with a certificate that names you to the brain (people's `spiffe_id`), PEM; no token is then looked for
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// A file with its key, PEM
    #[arg(long, global = true, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// The brain's data directory [default: ./lightsout-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Why a verb was not carried out: one line for a person, and the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage or invalid input: exit code 2.
    #[error("{0}")]
    Invalid(String),
    /// All else: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// What was asked about is over, and this is its exit code.
    #[error("{0}")]
    Ended(String, u8),
    /// No brain answers: exit code 1.
    #[error(
        "no brain answers at {url} ({why}): start one with `lightsout brain`, or name another with --url"
    )]
    Absent {
        /// Where it was looked for.
        url: String,
        /// The system's words.
        why: String,
    },
}

impl Failure {
    /// Any error of exit code 1.
    pub fn failed(why: impl ToString) -> Self {
        Self::Failed(why.to_string())
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Invalid(_) => ExitCode::from(2),
            Self::Ended(_, code) => ExitCode::from(*code),
            Self::Failed(_) | Self::Absent { .. } => ExitCode::from(1),
        }
    }
}

impl Connection {
    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    /// Reads `path` of the API; its segments are escaped.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http()?.request(Method::GET, url);
        // Where reads are open none is needed, and a brain elsewhere may not know what lies here.
        let token = if self.by_certificate() { None } else { self.token().ok() };
        self.read(shown(request, token)).await
    }

    /// Writes to `path` of the API, showing the token.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let token = match self.token() {
            _ if self.by_certificate() => None,
            Ok(token) => Some(token),
            Err(why) => {
                // Without a brain there is no token either; the former is what a person must hear first.
                let _: serde_json::Value = self.get(&["v1", "status"], &[]).await?;
                return Err(why);
            }
        };
        let request = self.http()?.request(Method::POST, self.address(path)?).json(body);
        self.read(shown(request, token)).await
    }

    /// A token that was named beside it is shown all the same.
    fn by_certificate(&self) -> bool {
        let named = self.token_file.is_some() || std::env::var_os("LIGHTSOUT_TOKEN").is_some();
        self.certificate.is_some() && !named
    }

    fn http(&self) -> Result<Client, Failure> {
        let invalid =
            |path: &PathBuf, why: &dyn Display| Failure::Invalid(format!("{}: {why}", path.display()));
        let read = |path: &PathBuf| std::fs::read(path).map_err(|why| invalid(path, &why));
        let mut builder = direct().timeout(TIMEOUT);
        if let Some(path) = &self.ca_file {
            let believed =
                reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(|why| invalid(path, &why))?;
            if believed.is_empty() {
                return Err(invalid(path, &"holds no certificate (BEGIN CERTIFICATE)"));
            }
            builder = builder.tls_certs_only(believed);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let pem = [read(certificate)?, read(key)?].concat();
            let own = reqwest::Identity::from_pem(&pem).map_err(|why| invalid(certificate, &why))?;
            builder = builder.identity(own);
        }
        builder.build().map_err(|why| Failure::Invalid(format!("what https needs: {}", root_cause(&why))))
    }

    fn address(&self, path: &[&str]) -> Result<Url, Failure> {
        let invalid = |why: String| Failure::Invalid(format!("--url {:?}: {why}", self.url));
        let mut url = Url::parse(&self.url).map_err(|why| invalid(why.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("a brain is at http://HOST:PORT or https://HOST:PORT".to_owned()));
        }
        let segments = url.path_segments_mut().map(|mut segments| {
            segments.pop_if_empty().extend(path);
        });
        segments.map_err(|()| invalid("it cannot carry a path".to_owned()))?;
        Ok(url)
    }

    fn token(&self) -> Result<Token, Failure> {
        if let Some(path) = &self.token_file {
            return Token::read(path).map_err(|why| Failure::Invalid(why.to_string()));
        }
        if let Ok(text) = std::env::var("LIGHTSOUT_TOKEN") {
            return Token::new(&text).map_err(|why| Failure::Invalid(format!("LIGHTSOUT_TOKEN: {why}")));
        }
        Token::read(&self.data_dir().join("api.token")).map_err(|why| {
            Failure::Invalid(format!("{why}; name it with --token-file, LIGHTSOUT_TOKEN or --data-dir"))
        })
    }

    async fn read<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        let absent = |why: &reqwest::Error| Failure::Absent { url: self.url.clone(), why: root_cause(why) };
        let response = request.send().await.map_err(|why| absent(&why))?;
        let status = response.status();
        let body = bounded_body(response, MAX_ANSWER_BYTES)
            .await
            .ok_or_else(|| Failure::failed("the brain's answer broke off or is too long"))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|why| self.stranger(&why.to_string()));
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            // Nothing of that name is as much the asker's mistake as what cannot be.
            Ok(problem) if matches!(status.as_u16(), 404 | 422) => Failure::Invalid(problem.to_string()),
            Ok(problem) => Failure::Failed(problem.to_string()),
            Err(_) => self.stranger(&format!("it answered {status}")),
        })
    }

    fn stranger(&self, why: &str) -> Failure {
        Failure::Failed(format!(
            "what answers at {} is no brain of this version ({why}): use the `lightsout` it was started with",
            self.url
        ))
    }
}

fn shown(request: reqwest::RequestBuilder, token: Option<Token>) -> reqwest::RequestBuilder {
    token.into_iter().fold(request, |request, token| request.header("authorization", token.header()))
}

fn root_cause(why: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = why;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    source.to_string()
}
