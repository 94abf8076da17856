//! A new process takes the place of the old one, and no client can tell.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{Behaviour, Load, Origin, Proxy, Running, eventually, proxy_config, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

const ARGUMENTS: [&str; 4] = ["start", "--config", "proxy.yaml", "--take-over"];

/// A new process beside the one that runs in `dir`.
async fn take_over(dir: &Path, old: &Proxy) -> Result<Proxy> {
    let process = Running::start("sidecar-proxy", &ARGUMENTS, dir).await?;
    let addresses = |of: &Running| [of.address("main").to_owned(), of.address("admin").to_owned()];
    assert_eq!(addresses(&process), addresses(&old.process), "the same sockets");
    Ok(old.with_process(process))
}

/// Connections that are made anew, one after the other, until the test has seen enough.
fn newcomers(address: &str) -> (JoinSet<Result<u64>>, tokio_util::sync::CancellationToken) {
    let (mut tasks, enough) = (JoinSet::new(), tokio_util::sync::CancellationToken::new());
    for _ in 0..4 {
        let (address, enough) = (address.to_owned(), enough.clone());
        tasks.spawn(async move {
            let mut served = 0;
            while !enough.is_cancelled() {
                let mut stream = TcpStream::connect(&address).await.context("refused")?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.context("broken off")?;
                ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
                served += 1;
            }
            Ok(served)
        });
    }
    (tasks, enough)
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_fail_no_request_whatever_the_number_of_workers() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let config = proxy_config(dir.path(), &origins, "")?.replacen("drain_ms: 300", "drain_ms: 1500", 1);
    let mut proxy = Proxy::start(dir.path(), &config).await?;
    let load = Load::start(&proxy.url, 300)?;
    let (mut newcomers, enough) = newcomers(proxy.process.address("main"));
    load.next(100).await;
    // Fewer workers than sockets: some have several. More: some open their own.
    for workers in [1, 3, 2] {
        let text = config.replacen("workers: 2", &format!("workers: {workers}"), 1);
        std::fs::write(dir.path().join("proxy.yaml"), text)?;
        let new = take_over(dir.path(), &proxy).await?;
        let mut old = std::mem::replace(&mut proxy, new).process;
        assert_eq!(old.ended().await?.code(), Some(0), "{}", old.log());
        load.next(200).await;
    }
    enough.cancel();
    while let Some(served) = newcomers.join_next().await {
        ensure!(served?? > 20, "too few to show anything");
    }
    assert_eq!(load.tally().failed, 0, "{:?}", load.tally());
    assert_eq!(reqwest::get(format!("{}/ready", proxy.admin)).await?.status(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_process_has_begun_it_ends_and_its_leases_live_on() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(2).await?);
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    let out = origins[0].address.to_string();
    let kind = json!({"type": "eject_endpoint", "endpoint": out});
    let action = json!({"epoch": 7, "lease_ms": 60_000, "service": "cart", "kind": kind});
    let (status, said) = proxy.ask("PUT", "/v1/actions/act-1", Some(&action)).await?;
    ensure!(status.is_success(), "{said}");

    origins[1].behave(Behaviour { delay: Duration::from_millis(2_500), ..Behaviour::default() });
    let url = proxy.url.clone();
    let long = tokio::spawn(async move { reqwest::get(url).await });
    let begun = async || Ok(origins[1].requests() == 1);
    eventually("the long request is on its way", Duration::from_secs(5), begun).await?;
    let new = take_over(dir.path(), &proxy).await?;
    origins[1].behave(Behaviour::default());

    for _ in 0..20 {
        assert_eq!(reqwest::get(&new.url).await?.status(), 200);
    }
    assert_eq!(origins[0].requests(), 0, "it is still ejected");
    let status = new.status().await?;
    assert_eq!((status.epoch.0, status.leases.len()), (7, 1));
    assert_eq!(long.await??.status(), 200);
    // The old process is gone from the state file: what the new one writes, stays.
    let mut old = proxy.process;
    assert_eq!(old.ended().await?.code(), Some(0));
    new.ask("POST", "/freeze", None).await?;
    let state = std::fs::read_to_string(dir.path().join("proxy.state"))?;
    ensure!(state.contains("true") && state.contains('7'), "{state}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_fails_leaves_the_old_one_as_it_was() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let config = proxy_config(dir.path(), &origins, "")?;
    let proxy = Proxy::start(dir.path(), &config).await?;
    let load = Load::start(&proxy.url, 200)?;

    // One that dies with the sockets in its hands, and one that is not a proxy at all.
    let broken = config.replacen("port: 0,", "port: 0, tls: { certificate: a, key: b },", 1);
    let token = config.replacen("token_path: mesh.token", "token_path: .", 1);
    let elsewhere = config.replacen("port: 0,", "port: 9,", 1);
    for (text, code) in [(broken, 2), (token, 1), (elsewhere, 1)] {
        std::fs::write(dir.path().join("proxy.yaml"), text)?;
        let ended = run("sidecar-proxy", &ARGUMENTS, dir.path()).await?;
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let mut silent = UnixStream::connect(dir.path().join("proxy-0.sock")).await?;
    let mut first = [0; 4];
    silent.read_exact(&mut first).await?;
    let action = json!({"epoch": 1, "lease_ms": 5_000, "service": "cart",
        "kind": {"type": "reset_breaker", "endpoint": origins[0].address.to_string()}});
    let (status, said) = proxy.ask("PUT", "/v1/actions/a", Some(&action)).await?;
    assert_eq!(status, 503, "while it hands over it takes no action: {said}");
    drop(silent);
    let taken = async || Ok(proxy.ask("PUT", "/v1/actions/a", Some(&action)).await?.0.is_success());
    eventually("actions are taken again", Duration::from_secs(5), taken).await?;

    load.next(100).await;
    assert_eq!(load.tally().failed, 0);
    std::fs::write(dir.path().join("proxy.yaml"), config)?;
    let new = take_over(dir.path(), &proxy).await?;
    load.next(100).await;
    assert_eq!((load.tally().failed, new.status().await?.draining), (0, false));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_beside_goes_on_at_the_same_address() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let config = proxy_config(dir.path(), &origins, "ai: { data_dir: own-brain }\n")?;
    std::fs::write(dir.path().join("proxy.yaml"), config)?;
    let arguments = [&ARGUMENTS[..], &["--ai-enabled"]].concat();
    let mut old = Running::start("sidecar-proxy", &arguments, dir.path()).await?;
    let brain: Value = {
        let text = std::fs::read_to_string(dir.path().join("own-brain/brain.yaml"))?;
        serde_json::from_str(text.split_once('\n').context("no brain")?.1)?
    };
    let api = format!("http://127.0.0.1:{}/ready", brain["api"]["port"]);
    let ready = async || Ok(reqwest::get(&api).await.is_ok_and(|answer| answer.status() == 200));
    eventually("the first brain is ready", Duration::from_secs(20), ready).await?;
    let new = Running::start("sidecar-proxy", &arguments, dir.path()).await?;
    assert_eq!(old.ended().await?.code(), Some(0), "{}", old.log());
    // With the old process its brain is gone: whoever answers now is the new one's.
    eventually("the second brain is ready", Duration::from_secs(20), ready).await?;
    assert_eq!(reqwest::get(format!("http://{}", new.address("main"))).await?.status(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_take_over_from_is_a_start_like_any_other_and_a_drain_leaves_nothing_behind() -> Result<()>
{
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    std::fs::write(dir.path().join("proxy.yaml"), proxy_config(dir.path(), &origins, "")?)?;
    let mut proxy = Running::start("sidecar-proxy", &ARGUMENTS, dir.path()).await?;
    let address = proxy.address("main").to_owned();
    assert!(dir.path().join("proxy-0.sock").exists());
    proxy.signal(Signal::SIGTERM)?;
    assert_eq!(proxy.ended().await?.code(), Some(0));
    assert!(!dir.path().join("proxy-0.sock").exists());
    assert!(TcpStream::connect(address).await.is_err());
    Ok(())
}
