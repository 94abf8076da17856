//! A reload is nothing that a client could notice.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Load, Origin, Proxy, eventually, proxy_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const RELOADS: u64 = 100;

/// The configuration over these origins, with an answer that says which one is in force.
fn config(dir: &Path, origins: &[Origin], name: &str) -> Result<String> {
    let routes = format!(
        "routes:\n  - split: [ {{ service: cart }} ]\n    response_headers: {{ set: {{ x-config: {name} }} }}\n"
    );
    proxy_config(dir, origins, &routes)
}

/// An upload that goes on for as long as the test wants it to.
struct Long(TcpStream);

impl Long {
    async fn begin(proxy: &Proxy) -> Result<Self> {
        let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        stream.write_all(head.as_bytes()).await?;
        let mut long = Self(stream);
        long.read_to("first").await?;
        Ok(long)
    }

    /// The last word, and what is answered from here on.
    async fn end(mut self) -> Result<String> {
        self.0.write_all(b"4\r\nlast\r\n0\r\n\r\n").await?;
        self.read_to("last\r\n0\r\n\r\n").await
    }

    async fn read_to(&mut self, end: &str) -> Result<String> {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) && !read.ends_with(format!("{end}\r\n").as_bytes()) {
            let mut bytes = [0; 1_024];
            let n = timeout(Duration::from_secs(10), self.0.read(&mut bytes)).await??;
            ensure!(n > 0, "broken off after {:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&bytes[..n]);
        }
        Ok(String::from_utf8(read)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_fail_no_request_and_a_long_one_ends_as_it_began() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (old, new) = (Origin::start_many(1).await?, Origin::start_many(3).await?);
    let texts = [config(dir.path(), &new[..2], "a")?, config(dir.path(), &new[1..], "b")?];
    let proxy = Proxy::start(dir.path(), &config(dir.path(), &old, "old")?).await?;
    let long = Long::begin(&proxy).await?;
    assert_eq!(old[0].requests(), 1);

    let load = Load::start(&proxy.url, 500)?;
    ensure!(load.next(200).await.failed == 0);
    let before = load.tally();
    for n in 0..RELOADS {
        std::fs::write(dir.path().join("proxy.yaml"), &texts[usize::try_from(n % 2)?])?;
        if n % 10 == 9 {
            proxy.process.signal(Signal::SIGHUP)?;
            let taken =
                async || Ok(metric(&proxy, "proxy_config_reloads_total{result=\"taken\"}").await? > n);
            eventually("the hang-up to be a reload", Duration::from_secs(5), taken).await?;
        } else {
            let (status, said) = proxy.ask("POST", "/reload", None).await?;
            ensure!(status == 200, "{said}");
        }
        // Each is met by some requests before the next.
        load.next(10).await;
    }
    let during = load.tally().since(before);
    assert_eq!((during.failed, during.requests >= RELOADS * 10), (0, true), "{during:?}");
    assert_eq!(metric(&proxy, "proxy_config_reloads_total{result=\"refused\"}").await?, 0);

    let seen = old[0].requests();
    let answer = reqwest::get(&proxy.url).await?;
    assert_eq!(answer.headers()["x-config"], "b", "what was reloaded last holds");
    let rest = long.end().await?;
    ensure!(rest.contains("last"), "{rest:?}");
    assert_eq!(old[0].requests(), seen, "the old endpoint is asked nothing any more");
    Ok(())
}

async fn metric(proxy: &Proxy, series: &str) -> Result<u64> {
    let text = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.map_or(0, |value| value.parse().unwrap()))
}

/// Waits until requests are answered by the configuration of this name.
async fn in_force(proxy: &Proxy, name: &str) -> Result<()> {
    let named = async || Ok(reqwest::get(&proxy.url).await?.headers()["x-config"] == name);
    eventually(&format!("{name} is in force"), Duration::from_secs(10), named).await
}

async fn reloads(proxy: &Proxy) -> Result<Value> {
    let status: Value = reqwest::get(format!("{}/status", proxy.admin)).await?.json().await?;
    Ok(status["reloads"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_reloaded_by_itself_and_a_bad_one_keeps_the_last_good_one() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    let text = |name: &str| -> Result<String> {
        Ok(config(dir.path(), &origins, name)?.replacen("watch_files: false", "watch_files: true", 1))
    };
    let (file, beside) = (dir.path().join("proxy.yaml"), dir.path().join("beside.yaml"));
    let proxy = Proxy::start(dir.path(), &text("first")?).await?;
    in_force(&proxy, "first").await?;
    std::fs::write(&beside, text("second")?)?;
    std::fs::rename(&beside, &file)?;
    in_force(&proxy, "second").await?;

    std::fs::write(&file, "server: { prot: 1 }\n")?;
    let refused = async || Ok(reloads(&proxy).await?["refused"] == 1);
    eventually("the bad file to be refused", Duration::from_secs(10), refused).await?;
    let seen = reloads(&proxy).await?;
    ensure!(seen["last_refusal"].as_str().unwrap_or_default().contains("\"port\""), "{seen}");
    assert_eq!(metric(&proxy, "proxy_config_last_reload_successful").await?, 0);
    in_force(&proxy, "second").await?;

    // As it was, but for the time: nothing has changed against what holds, and that is said.
    std::fs::write(&file, text("second")?)?;
    let mended = async || Ok(reloads(&proxy).await?["last_was_taken"] == true);
    eventually("the good file to be taken", Duration::from_secs(10), mended).await?;
    let taken = reloads(&proxy).await?["taken"].clone();
    std::fs::write(&file, text("second")?)?;
    std::fs::write(&beside, "a neighbour")?;
    std::fs::write(&file, text("third")?)?;
    in_force(&proxy, "third").await?;
    assert_eq!(reloads(&proxy).await?["taken"], taken.as_u64().unwrap() + 1, "the same content is no change");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_volume_is_reloaded_when_its_link_is_swapped() -> Result<()> {
    let (dir, origins) = (tempfile::tempdir()?, Origin::start_many(1).await?);
    // As a kubelet does it: a new folder, a link to it, renamed over the link that was followed.
    let publish = |version: &str| -> Result<()> {
        let text = config(dir.path(), &origins, version)?.replacen("watch_files: false, ", "", 1);
        std::fs::create_dir(dir.path().join(format!("..{version}")))?;
        std::fs::write(dir.path().join(format!("..{version}/proxy.yaml")), text)?;
        symlink(format!("..{version}"), dir.path().join("..data_tmp"))?;
        Ok(std::fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data"))?)
    };
    publish("one")?;
    symlink("..data/proxy.yaml", dir.path().join("proxy.yaml"))?;
    let proxy = Proxy::start_by(dir.path(), "proxy.yaml").await?;
    in_force(&proxy, "one").await?;
    for version in ["two", "three"] {
        publish(version)?;
        in_force(&proxy, version).await?;
    }
    Ok(())
}
