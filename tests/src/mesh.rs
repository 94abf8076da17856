//! A proxy and a brain, configured for a test and asked as an operator would ask them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::StatusCode;
use protocol::snapshot::{EndpointStatus, ProxyStatus};
use serde_json::Value;
use tokio::process::Command;

use crate::origin::Origin;
use crate::process::{Running, binary, run};

/// The token that everything in a test's folder shares.
///
/// # Errors
/// When it cannot be written.
pub fn admin_token(dir: &Path) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = dir.join("mesh.token");
    let token = "test-token-0123456789abcdef0123456789abcdef";
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, token.as_bytes())?;
    Ok(token.to_owned())
}

/// A configuration of one service `cart` over `origins`, on free ports; `more` is appended.
///
/// # Errors
/// When the token cannot be written.
pub fn proxy_config(dir: &Path, origins: &[Origin], more: &str) -> Result<String> {
    admin_token(dir)?;
    let mut text = String::from(
        "server: { bind_address: 127.0.0.1, port: 0, workers: 2, watch_files: false, drain_ms: 300, drain_timeout_ms: 5000 }\n\
         admin: { bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: proxy.state }\n\
         upstream:\n  services:\n    cart:\n      endpoints:\n",
    );
    for origin in origins {
        let port = origin.address.port();
        writeln!(text, "        - {{ address: 127.0.0.1, port: {port}, weight: 100, version: v1 }}")?;
    }
    text.push_str(more);
    Ok(text)
}

/// A running `sidecar-proxy`.
pub struct Proxy {
    /// The process.
    pub process: Running,
    /// Where traffic goes.
    pub url: String,
    /// Where operators go.
    pub admin: String,
    token: String,
    client: reqwest::Client,
}

impl Proxy {
    /// Writes `config` and starts a proxy by it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(dir: &Path, config: &str) -> Result<Self> {
        std::fs::write(dir.join("proxy.yaml"), config)?;
        Self::start_by(dir, "proxy.yaml").await
    }

    /// Starts a proxy by a file that is there.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_by(dir: &Path, file: &str) -> Result<Self> {
        let process = Running::start("sidecar-proxy", &["start", "--config", file], dir).await?;
        Ok(Self::of(process, admin_token(dir)?))
    }

    /// Another process with the same token.
    #[must_use]
    pub fn with_process(&self, process: Running) -> Self {
        Self::of(process, self.token.clone())
    }

    fn of(process: Running, token: String) -> Self {
        let url = format!("http://{}", process.address("main"));
        let admin = format!("http://{}", process.address("admin"));
        Self { process, url, admin, token, client: reqwest::Client::new() }
    }

    /// `GET /status`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<ProxyStatus> {
        Ok(self.client.get(format!("{}/status", self.admin)).send().await?.json().await?)
    }

    /// One endpoint of `cart` as `/status` shows it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn endpoint(&self, origin: &Origin) -> Result<EndpointStatus> {
        let id = origin.address.to_string();
        let status = self.status().await?;
        let mut endpoints = status.services.into_iter().flat_map(|s| s.endpoints);
        endpoints.find(|e| e.endpoint.as_str() == id).context("no such endpoint")
    }

    /// A request to the admin listener with the token; the status and the JSON answered.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let method = http::Method::from_bytes(method.as_bytes())?;
        let mut request =
            self.client.request(method, format!("{}{path}", self.admin)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}

/// Certificates in a test's folder that its brain trusts in place of the system's, where there are any.
pub const TRUSTED: &str = "trusted.pem";

/// A running `lightsout brain`.
pub struct Brain {
    /// The process.
    pub process: Running,
    /// Its API.
    pub api: String,
    pub(crate) dir: std::path::PathBuf,
}

impl Brain {
    /// Starts a brain in `dir` with the mesh's token.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(dir: &Path, mode: &str) -> Result<Self> {
        Self::start_with(dir, mode, &[]).await
    }

    /// The same, with more on its command line.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(dir: &Path, mode: &str, more: &[&str]) -> Result<Self> {
        Self::spawn(dir, mode, (0, 0), "", more).await
    }

    /// The same, on these ports (API, telemetry; 0 is any) and with more in its configuration.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_on(dir: &Path, mode: &str, ports: (u16, u16), more: &str) -> Result<Self> {
        Self::spawn(dir, mode, ports, more, &[]).await
    }

    async fn spawn(dir: &Path, mode: &str, ports: (u16, u16), config: &str, more: &[&str]) -> Result<Self> {
        admin_token(dir)?;
        let (api, telemetry) = ports;
        let config = format!(
            "api: {{ bind_address: 127.0.0.1, port: {api} }}\n\
             telemetry: {{ bind_address: 127.0.0.1, port: {telemetry}, token_path: mesh.token }}\n\
             mesh_token_path: mesh.token\nmode: {mode}\ndata_dir: brain-data\n{config}"
        );
        std::fs::write(dir.join("brain.yaml"), config)?;
        let mut command = Command::new(binary("lightsout"));
        command.args(["brain", "--config", "brain.yaml"]).args(more).stdin(Stdio::null());
        if dir.join(TRUSTED).exists() {
            command.env("SSL_CERT_FILE", dir.join(TRUSTED));
        }
        let process = Running::start_by("lightsout", command, dir).await?;
        let api = format!("http://{}", process.address("api"));
        Ok(Self { process, api, dir: dir.to_owned() })
    }

    /// The `ai` section of a proxy that reports to this brain.
    #[must_use]
    pub fn ai_section(&self) -> String {
        let telemetry = self.process.address("telemetry");
        format!(
            "circuit_breaker: {{ enabled: false }}\n\
             ai: {{ enabled: true, brain: \"http://{telemetry}\", token_path: mesh.token, proxy_id: p1, caller: web }}\n"
        )
    }

    /// Starts `count` proxies before `origins` that report to it: `p1`, `p2`, …, each in a folder of its own.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn proxies(&self, origins: &[Origin], count: usize) -> Result<Vec<Proxy>> {
        let mut proxies = Vec::new();
        for n in 1..=count {
            let own = self.dir.join(format!("p{n}"));
            std::fs::create_dir_all(&own)?;
            std::fs::copy(self.dir.join("mesh.token"), own.join("mesh.token"))?;
            let ai = self.ai_section().replace("proxy_id: p1", &format!("proxy_id: p{n}"));
            proxies.push(Proxy::start(&own, &proxy_config(&own, origins, &ai)?).await?);
        }
        Ok(proxies)
    }

    /// The token that it has made for its API.
    ///
    /// # Errors
    /// When it is not there.
    pub fn token(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.join("brain-data/api.token"))?.trim().to_owned())
    }

    /// What the audit log's records of one kind say, in order.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn records(&self, kind: &str) -> Result<Vec<Value>> {
        let records = self.list(&format!("/v1/audit?limit=1000&kind={kind}")).await?;
        Ok(records.into_iter().map(|record| record["data"].clone()).collect())
    }

    /// Runs an operator's verb against this brain: standard output, which must be a success.
    ///
    /// # Errors
    /// With its standard error, when it fails.
    pub async fn operator(&self, arguments: &[&str]) -> Result<String> {
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.api, "--data-dir", "brain-data"]);
        let output = run("lightsout", &all, &self.dir).await?;
        if !output.status.success() {
            bail!("lightsout {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The items of a list of the API.
    ///
    /// # Errors
    /// When it does not answer with a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let list: Value = reqwest::get(format!("{}{path}", self.api)).await?.json().await?;
        Ok(list["items"].as_array().context("no list")?.clone())
    }

    /// The kinds of all audit records so far, in order.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn story(&self) -> Result<Vec<String>> {
        let records = self.list("/v1/audit").await?;
        Ok(records.iter().filter_map(|r| r["kind"].as_str()).map(str::to_owned).collect())
    }
}

/// Asks until the answer is yes, for at most `within`; what is asked is real work, so polling is
/// the only way to see it.
///
/// # Errors
/// Names what never came.
pub async fn eventually<F>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let until = tokio::time::Instant::now() + within;
    while tokio::time::Instant::now() < until {
        if ask().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("within {within:?} it never came that {what}")
}
