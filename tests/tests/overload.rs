//! Memory and descriptors run out, and the proxy sheds instead of dying.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{Behaviour, Origin, Proxy, Running, binary, eventually, proxy_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A proxy that may open no more than so many descriptors.
async fn bounded(dir: &Path, config: &str, descriptors: u32) -> Result<Running> {
    std::fs::write(dir.join("proxy.yaml"), config)?;
    let mut command = Command::new("bash");
    let script = format!("ulimit -n {descriptors}; exec \"$@\"");
    command.args(["-c", &script, "bash"]).arg(binary("sidecar-proxy"));
    command.args(["start", "--config", "proxy.yaml"]).stdin(Stdio::null());
    Running::start_by("sidecar-proxy", command, dir).await
}

/// What became of one client.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    Served,
    /// 503, with a word on when to come again.
    Shed,
    Closed,
}

/// One connection with one request; whatever happens, it happens in time.
async fn ask(address: &str) -> Result<Met> {
    let met = async {
        let mut stream = TcpStream::connect(address).await.context("refused")?;
        // Closed at once, it may not even take the request.
        let mut answer = Vec::new();
        let sent = stream.write_all(REQUEST).await;
        let mut bytes = [0; 4_096];
        while sent.is_ok() && !answer.ends_with(b"hello") && !answer.ends_with(b"}\n") {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&bytes[..n]),
            }
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        match answer.split(' ').nth(1) {
            None => Ok(Met::Closed),
            Some("200") => Ok(Met::Served),
            Some("503") if answer.contains("retry-after: ") => Ok(Met::Shed),
            Some(_) => anyhow::bail!("answered {answer}"),
        }
    };
    timeout(Duration::from_secs(20), met).await.context("a client hung")?
}

async fn status(admin: &str) -> Result<Value> {
    Ok(reqwest::get(format!("http://{admin}/status")).await?.json().await?)
}

async fn metrics(admin: &str) -> Result<String> {
    Ok(reqwest::get(format!("http://{admin}/metrics")).await?.text().await?)
}

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing from:\n{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_it_sheds_serves_what_it_took_and_recovers() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let proxy = bounded(dir.path(), &proxy_config(dir.path(), &origins, "")?, 160).await?;
    let (main, admin) = (proxy.address("main").to_owned(), proxy.address("admin").to_owned());
    origins[0].behave(Behaviour { delay: Duration::from_millis(2_000), ..Behaviour::default() });
    let asked: Vec<_> = (0..300)
        .map(|_| {
            let main = main.clone();
            tokio::spawn(async move { ask(&main).await })
        })
        .collect();
    let turned_away = "proxy_connections_refused_total{reason=\"overload\"}";
    let seen = async || Ok(value(&metrics(&admin).await?, turned_away) > 0.0);
    eventually("operators see it", Duration::from_secs(10), seen).await?;
    let mut met = Vec::new();
    for one in asked {
        met.push(one.await??);
    }
    let count = |what: Met| met.iter().filter(|met| **met == what).count();
    let (served, closed) = (count(Met::Served), count(Met::Closed));
    let seen = metrics(&admin).await?;
    let about: Vec<_> =
        seen.lines().filter(|line| line.contains("refused") || line.contains("fds")).collect();
    ensure!(served >= 5 && closed >= 50, "{served} served, {closed} closed: {about:#?}");

    let refused = |reason| value(&seen, &format!("proxy_connections_refused_total{{reason=\"{reason}\"}}"));
    ensure!(refused("overload") + refused("descriptors") >= 100.0, "{seen}");
    let failures = seen.lines().find(|line| line.starts_with("proxy_backend_failures_total{"));
    ensure!(failures.is_some_and(|line| line.ends_with(" 0")), "the endpoint is not to blame: {failures:?}");

    origins[0].behave(Behaviour::default());
    let calm = async || Ok(status(&admin).await?["overload"]["level"] == "calm");
    eventually("it is calm again", Duration::from_secs(10), calm).await?;
    assert_eq!(ask(&main).await?, Met::Served);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_only_wait_are_closed_to_make_room() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let proxy = bounded(dir.path(), &proxy_config(dir.path(), &origins, "")?, 120).await?;
    let (main, admin) = (proxy.address("main").to_owned(), proxy.address("admin").to_owned());
    let mut idle = Vec::new();
    // One after the other, so that each is looked at before the next.
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&main).await?;
        // The last ones are closed at once.
        let _closed_already = stream.write_all(REQUEST).await;
        idle.push(stream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // All of them are still held, on this side: only the proxy can have made room.
    let calm = async || Ok(status(&admin).await?["overload"]["level"] == "calm");
    eventually("it is calm", Duration::from_secs(10), calm).await?;
    let served = async || Ok(ask(&main).await? == Met::Served);
    eventually("there is room again", Duration::from_secs(10), served).await?;
    let mut closed = 0;
    for stream in &mut idle {
        let ended = timeout(Duration::from_millis(1), stream.read_to_end(&mut Vec::new())).await;
        closed += u32::from(ended.is_ok());
    }
    ensure!(closed >= 20, "only {closed} were closed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_its_memory_bound_new_requests_are_answered_503_until_the_bound_is_raised() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let config = proxy_config(dir.path(), &origins, "")?;
    let proxy = Proxy::start(dir.path(), &config).await?;
    let address = proxy.process.address("main").to_owned();
    let mut kept = TcpStream::connect(&address).await?;
    kept.write_all(REQUEST).await?;
    let mut first = [0; 12];
    kept.read_exact(&mut first).await?;

    // What it uses already is a quarter of this.
    let used = value(&metrics(proxy.process.address("admin")).await?, "process_resident_memory_bytes");
    let most = used as u64 * 4;
    let tight = format!("workers: 2, overload: {{ max_memory_bytes: {most}, shed_at: 0.1, stop_at: 1 }}");
    std::fs::write(dir.path().join("proxy.yaml"), config.replacen("workers: 2", &tight, 1))?;
    ensure!(proxy.ask("POST", "/reload", None).await?.0.is_success());
    let level =
        async |what: &str| Ok(status(proxy.process.address("admin")).await?["overload"]["level"] == what);
    eventually("it sheds", Duration::from_secs(5), async || level("sheds").await).await?;
    assert_eq!(ask(&address).await?, Met::Shed);
    let seen = metrics(proxy.process.address("admin")).await?;
    ensure!(value(&seen, "proxy_requests_refused_total{reason=\"proxy_overload\"}") >= 1.0);
    ensure!(value(&seen, "proxy_overload_pressure_ratio{resource=\"memory\"}") > 0.1);
    // The one that was kept for a next request is closed.
    timeout(Duration::from_secs(5), kept.read_to_end(&mut Vec::new())).await??;

    std::fs::write(dir.path().join("proxy.yaml"), &config)?;
    ensure!(proxy.ask("POST", "/reload", None).await?.0.is_success());
    eventually("it is calm", Duration::from_secs(5), async || level("calm").await).await?;
    assert_eq!(ask(&address).await?, Met::Served);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_configured_are_closed_and_counted() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let config =
        proxy_config(dir.path(), &origins, "")?.replacen("workers: 2", "workers: 2, max_connections: 3", 1);
    let proxy = Proxy::start(dir.path(), &config).await?;
    let address = proxy.process.address("main");
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(REQUEST).await?;
        stream.read_exact(&mut [0; 12]).await?;
        kept.push(stream);
    }
    assert_eq!(ask(address).await?, Met::Closed);
    let seen = metrics(proxy.process.address("admin")).await?;
    assert!(value(&seen, "proxy_connections_refused_total{reason=\"max_connections\"}") >= 1.0);
    assert_eq!(value(&seen, "proxy_max_connections") as u64, 3);
    drop(kept);
    let again = async || Ok(ask(address).await? == Met::Served);
    eventually("there is room again", Duration::from_secs(5), again).await
}

/// Changes what a running process may open, as an operator would.
async fn limit(proxy: &Running, descriptors: &str) -> Result<()> {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &proxy.pid().to_string(), &format!("--nofile={descriptors}:")]);
    ensure!(command.status().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_descriptor_left_at_all_connections_are_closed_and_do_not_hang() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let proxy = bounded(dir.path(), &proxy_config(dir.path(), &origins, "")?, 1_024).await?;
    let (main, admin) = (proxy.address("main").to_owned(), proxy.address("admin").to_owned());
    assert_eq!(ask(&main).await?, Met::Served);
    let before = cpu_ticks(&proxy)?;
    // Fewer than are open: only the numbers of the spare ones can be had again.
    limit(&proxy, &format!("{}", last_spare(&proxy)? + 1)).await?;
    let mut closed = 0;
    for _ in 0..20 {
        let met = timeout(Duration::from_secs(10), ask(&main)).await;
        let met = met.with_context(|| format!("a client hung: {}; {}", open(&proxy), proxy.log()))??;
        closed += u32::from(met == Met::Closed);
    }
    ensure!(closed >= 15, "{closed} closed");
    ensure!(cpu_ticks(&proxy)? - before < 100, "it spins");
    limit(&proxy, "1024").await?;
    let served = async || Ok(ask(&main).await? == Met::Served);
    eventually("it serves again", Duration::from_secs(5), served).await?;
    let seen = metrics(&admin).await?;
    let refused = |reason| value(&seen, &format!("proxy_connections_refused_total{{reason=\"{reason}\"}}"));
    // Some number below the bound may have been free: then it was the overload manager that closed.
    ensure!(refused("descriptors") + refused("overload") >= 15.0, "{seen}");
    Ok(())
}

fn open(proxy: &Running) -> String {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
    let name = |fd: std::fs::DirEntry| format!("{:?} {:?}", fd.file_name(), std::fs::read_link(fd.path()));
    folder.filter_map(Result::ok).map(name).collect::<Vec<_>>().join("\n")
}

/// The highest descriptor that is open to nothing.
fn last_spare(proxy: &Running) -> Result<u32> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid()))?.filter_map(Result::ok);
    let spare = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == Path::new("/dev/null")));
    spare.filter_map(|fd| fd.file_name().to_str()?.parse().ok()).max().context("no spare")
}

/// User and system time, in hundredths of a second.
fn cpu_ticks(proxy: &Running) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.pid()))?;
    let (_, after_name) = stat.rsplit_once(") ").context("no stat")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}
