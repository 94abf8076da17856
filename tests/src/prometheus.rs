//! Prometheus and promtool from the system (`make setup` installs them), as an operator has them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(60);

/// Runs promtool in `dir`, with `input` on its standard input.
///
/// # Errors
/// When it is not installed, or does not end within a minute.
pub async fn promtool(arguments: &[&str], dir: &Path, input: &str) -> Result<Output> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("promtool is not installed: run `make setup`")?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading everything has its reasons, and says them.
        let _closed_early = stdin.write_all(input.as_bytes()).await;
    }
    timeout(WITHIN, child.wait_with_output())
        .await
        .with_context(|| format!("promtool {arguments:?} did not end"))?
        .context("promtool")
}

/// A Prometheus that scrapes one target every second, by the rules that ship with the proxy.
pub struct Prometheus {
    url: String,
    process: tokio::process::Child,
}

impl Prometheus {
    /// Starts one in `dir`; `target` is `ADDRESS:PORT`.
    ///
    /// # Errors
    /// With its log, when it does not come up.
    pub async fn start(dir: &Path, target: &str) -> Result<Self> {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/rules").canonicalize()?;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [\"{0}/recording.yml\", \"{0}/alerts.yml\"]\n\
             scrape_configs: [{{ job_name: proxies, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n",
            rules.display()
        );
        std::fs::write(dir.join("prometheus.yml"), config)?;
        let log = dir.join("prometheus.log");
        // It cannot be asked which port it took: a port that is free now is free in a moment, or the next is.
        for _ in 0..5 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let process = Command::new("prometheus")
                .arg("--config.file=prometheus.yml")
                .arg("--storage.tsdb.path=prometheus-data")
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(&log)?)
                .kill_on_drop(true)
                .spawn()
                .context("prometheus is not installed: run `make setup`")?;
            let mut started = Self { url: format!("http://127.0.0.1:{port}"), process };
            if started.comes_up().await {
                return Ok(started);
            }
        }
        anyhow::bail!("prometheus does not come up:\n{}", std::fs::read_to_string(&log)?)
    }

    async fn comes_up(&mut self) -> bool {
        let until = tokio::time::Instant::now() + WITHIN / 2;
        while tokio::time::Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            let ready = reqwest::get(format!("{}/-/ready", self.url)).await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What an expression gives now: the values of its series.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let request = reqwest::Client::new().get(format!("{}/api/v1/query", self.url));
        let answer: serde_json::Value = request.query(&[("query", expression)]).send().await?.json().await?;
        let series = answer["data"]["result"].as_array().context("no result")?;
        let values = series.iter().filter_map(|series| series["value"][1].as_str()?.parse().ok());
        Ok(values.collect())
    }
}
