//! A plain proxy, started by hand, with no brain anywhere.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Behaviour, Origin, Proxy, Running, eventually, proxy_config, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The sample of the contract, in block style, as people write it.
const CONTRACT_SAMPLE: &str = r#"
server:
  bind_address: "0.0.0.0"
  port: 8000
  max_connections: 10000
upstream:
  services:
    example-service:
      endpoints:
        - address: "127.0.0.1"
          port: 8080
          weight: 100
      health_check:
        enabled: true
        path: "/health"
        interval_ms: 30000
load_balancing:
  algorithm: "round_robin"
circuit_breaker:
  enabled: true
  failure_threshold: 5
  recovery_timeout_ms: 60000
ai:
  enabled: true
  autonomous_mode: false
  provider: "openai"
  model: "gpt-4"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_the_contract_loads_verbatim() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("proxy.yaml"), CONTRACT_SAMPLE)?;
    let output = run("sidecar-proxy", &["validate-config", "--config", "proxy.yaml"], dir.path()).await?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generated_configuration_is_valid_as_it_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let made = run("sidecar-proxy", &["generate-config", "--output", "made.yaml"], dir.path()).await?;
    assert!(made.status.success());
    let again = run("sidecar-proxy", &["generate-config", "--output", "made.yaml"], dir.path()).await?;
    assert!(!again.status.success(), "a file that is there is not overwritten");
    let checked = run("sidecar-proxy", &["validate-config", "--config", "made.yaml"], dir.path()).await?;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_names_file_line_and_column_of_every_mistake() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let text =
        CONTRACT_SAMPLE.replace("max_connections", "max_conections").replace("weight: 100", "weight: -3");
    std::fs::write(dir.path().join("bad.yaml"), text)?;
    for verb in ["start", "validate-config"] {
        let output = run("sidecar-proxy", &[verb, "--config", "bad.yaml"], dir.path()).await?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{verb}: {errors}");
        assert!(
            errors
                .contains("bad.yaml:5:3: unknown key \"max_conections\"; did you mean \"max_connections\"?"),
            "{errors}"
        );
        assert!(errors.contains("bad.yaml:12:11"), "{errors}");
    }
    let output =
        run("sidecar-proxy", &["validate-config", "--config", "bad.yaml", "--format", "json"], dir.path())
            .await?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert!(report.to_string().contains("\"line\":5"), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_or_a_missing_certificate_stops_it_before_it_starts() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let config = proxy_config(dir.path(), &origins, "")?.replacen("port: 0", &format!("port: {port}"), 1);
    std::fs::write(dir.path().join("taken.yaml"), config)?;
    let output = run("sidecar-proxy", &["start", "--config", "taken.yaml"], dir.path()).await?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&format!("127.0.0.1:{port}")), "{errors}");

    let config = proxy_config(dir.path(), &origins, "")?.replacen(
        "workers: 2",
        "workers: 2, tls: { certificate: absent.pem, key: absent.key }",
        1,
    );
    std::fs::write(dir.path().join("tls.yaml"), config)?;
    let output = run("sidecar-proxy", &["start", "--config", "tls.yaml"], dir.path()).await?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("absent.pem"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_forwards_and_tells_operators_what_it_does() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(2).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    let client = reqwest::Client::new();
    for _ in 0..20 {
        let answer = client.get(&proxy.url).header("x-request-id", "mine-1").send().await?;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-request-id"], "mine-1");
    }
    assert_eq!((origins[0].requests(), origins[1].requests()), (10, 10), "round robin");
    let head = origins[0].last_head().unwrap();
    assert_eq!(head.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(head.headers["x-forwarded-proto"], "http");

    let big = vec![b'x'; 3 << 20];
    let echoed = client.post(format!("{}/echo", proxy.url)).body(big.clone()).send().await?.bytes().await?;
    assert!(echoed == big, "a body comes back as it went");
    let h2 = reqwest::Client::builder().http2_prior_knowledge().build()?;
    let answer = h2.get(&proxy.url).send().await?;
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));

    for path in ["/health", "/ready"] {
        assert_eq!(reqwest::get(format!("{}{path}", proxy.admin)).await?.status(), 200);
    }
    let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
    for promised in [
        "proxy_requests_total",
        "proxy_requests_successful_total",
        "proxy_requests_failed_total",
        "proxy_response_time_histogram_bucket",
        "proxy_circuit_breaker_state",
        "proxy_active_connections",
        "proxy_total_connections",
        "proxy_bytes_sent_total",
        "proxy_bytes_received_total",
        "proxy_backend_connections",
        "proxy_backend_requests_total",
        "proxy_backend_failures_total",
        "proxy_active_leases",
        "proxy_telemetry_windows_dropped_total",
    ] {
        assert!(metrics.contains(promised), "{promised} is missing from:\n{metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_answered_400_and_never_forwarded() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    let malformed = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "NOT HTTP AT ALL\r\n\r\n",
    ];
    for request in malformed {
        let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
            .await
            .unwrap_or_else(|_| panic!("the connection stayed open after {request:?}"))?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "400" | "501"), "{request:?} was answered {answer:?}");
    }
    assert_eq!(origins[0].requests(), 0, "one of them was forwarded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_host_gets_one_on_its_way_to_the_endpoint() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    let mut stream = TcpStream::connect(proxy.process.address("main")).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.contains(" 200 OK"), "{answer}");
    let head = origins[0].last_head().unwrap();
    assert_eq!(head.headers["host"], origins[0].address.to_string().as_str());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_on_its_way_and_exits_0() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    origins[0].behave(Behaviour { delay: Duration::from_millis(1_500), ..Behaviour::default() });
    let mut proxy = Proxy::start(dir.path(), &proxy_config(dir.path(), &origins, "")?).await?;
    let url = proxy.url.clone();
    let slow = tokio::spawn(async move { reqwest::get(url).await });
    eventually("the request is on its way", Duration::from_secs(5), || async {
        Ok(origins[0].requests() == 1)
    })
    .await?;
    proxy.process.signal(Signal::SIGTERM)?;
    let ready = format!("{}/ready", proxy.admin);
    eventually("/ready turns 503", Duration::from_secs(2), || async {
        Ok(reqwest::get(&ready).await.is_ok_and(|a| a.status() == 503))
    })
    .await?;
    let answer = slow.await??;
    assert_eq!(answer.status(), 200);
    assert_eq!(proxy.process.ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ai_enabled_and_no_brain_configured_it_starts_its_own() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let config = proxy_config(
        dir.path(),
        &origins,
        "ai: { data_dir: own-brain, provider: openai, model: gpt-4, decision_threshold: 0.8 }\n",
    )?;
    std::fs::write(dir.path().join("proxy.yaml"), config)?;
    let arguments = ["start", "--config", "proxy.yaml", "--ai-enabled"];
    let mut proxy = Running::start("sidecar-proxy", &arguments, dir.path()).await?;
    let store = dir.path().join("own-brain/lightsout.db");
    eventually("the embedded store is there", Duration::from_secs(20), || async { Ok(store.exists()) })
        .await?;
    assert_eq!(reqwest::get(format!("http://{}", proxy.address("main"))).await?.status(), 200);
    proxy.signal(Signal::SIGTERM)?;
    assert_eq!(proxy.ended().await?.code(), Some(0));
    let verify = ["audit", "verify", "--data-dir", "own-brain"];
    eventually("its brain has ended with it", Duration::from_secs(10), || async {
        Ok(run("lightsout", &verify, dir.path()).await?.status.success())
    })
    .await
}

/// The brain that `proxy` started: the process whose parent it is.
fn child_of(proxy: i32) -> Option<i32> {
    let pids = std::fs::read_dir("/proc").ok()?.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    let parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let mut fields = after_name.split(' ');
        fields.next().filter(|state| *state != "Z")?;
        fields.next()?.parse::<i32>().ok()
    };
    pids.into_iter().find(|pid| parent(pid) == Some(proxy))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_beside_is_started_again_when_killed_and_does_not_outlive_its_proxy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    let config = proxy_config(dir.path(), &origins, "ai: { data_dir: own-brain }\n")?;
    std::fs::write(dir.path().join("proxy.yaml"), config)?;
    let arguments = ["start", "--config", "proxy.yaml", "--ai-enabled"];
    let proxy = Running::start("sidecar-proxy", &arguments, dir.path()).await?;
    let pid = proxy.pid().as_raw();
    eventually("a brain", Duration::from_secs(20), || async { Ok(child_of(pid).is_some()) }).await?;
    let first = child_of(pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), Signal::SIGKILL)?;
    let another = || async { Ok(child_of(pid).is_some_and(|child| child != first)) };
    eventually("another brain", Duration::from_secs(20), another).await?;
    let second = child_of(pid).unwrap();
    assert_eq!(reqwest::get(format!("http://{}", proxy.address("main"))).await?.status(), 200);
    proxy.signal(Signal::SIGKILL)?;
    let gone = || async {
        let stat = std::fs::read_to_string(format!("/proc/{second}/stat")).unwrap_or_default();
        Ok(stat.is_empty() || stat.contains(") Z "))
    };
    eventually("the brain has ended with its proxy", Duration::from_secs(20), gone).await
}
