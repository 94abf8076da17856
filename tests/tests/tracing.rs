//! Traces end to end: a caller, a proxy, an origin, and a collector that is sent what happened.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tests::{Behaviour, Collector, Origin, Proxy, attribute, eventually, proxy_config};
use tokio::net::TcpListener;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SOON: Duration = Duration::from_secs(20);

async fn proxy_with(dir: &Path, origins: &[Origin], tracing: &str) -> Result<Proxy> {
    let more = format!("observability:\n  tracing: {{ {tracing} }}\n");
    Proxy::start(dir, &proxy_config(dir, origins, &more)?).await
}

async fn get(proxy: &Proxy, headers: &[(&str, &str)]) -> Result<u16> {
    let mut request = reqwest::Client::new().get(format!("{}/cart?card=4711", proxy.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?.status().as_u16())
}

/// What the origin was told in `name`.
fn told(origin: &Origin, name: &str) -> Vec<String> {
    let head = origin.last_head().unwrap();
    head.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn spans(collector: &Collector, count: usize) -> Result<Vec<Span>> {
    let what = format!("{count} spans are collected");
    eventually(&what, SOON, async || Ok(collector.spans().len() >= count)).await?;
    Ok(collector.spans())
}

fn of_kind(spans: &[Span], kind: SpanKind) -> &Span {
    spans.iter().find(|span| span.kind == kind as i32).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_the_collector_and_the_origin_see_one_trace() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (origins, collector) = (Origin::start_many(1).await?, Collector::start().await?);
    let tracing = format!("endpoint: \"http://{}\", sample: 0, service_name: edge", collector.address);
    let proxy = proxy_with(dir.path(), &origins, &tracing).await?;
    let state = "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE";
    assert_eq!(get(&proxy, &[("traceparent", CALLER), ("tracestate", state)]).await?, 200);
    let spans = spans(&collector, 2).await?;
    let (server, client) = (of_kind(&spans, SpanKind::Server), of_kind(&spans, SpanKind::Client));
    assert_eq!(spans.len(), 2);
    assert_eq!(hex(&server.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&server.parent_span_id), "b7ad6b7169203331");
    assert_eq!((&client.trace_id, &client.parent_span_id), (&server.trace_id, &server.span_id));
    let said = format!("00-{}-{}-01", hex(&client.trace_id), hex(&client.span_id));
    assert_eq!(told(&origins[0], "traceparent"), [said]);
    assert_eq!(told(&origins[0], "tracestate"), [state.replace(' ', "")]);
    for (span, key, value) in [
        (server, "http.request.method", "GET"),
        (server, "url.path", "/cart"),
        (server, "url.query", "card=REDACTED"),
        (server, "http.response.status_code", "200"),
        (server, "lightsout.service", "cart"),
        (client, "server.port", &origins[0].address.port().to_string()),
        (client, "http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&span.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(collector.resource("service.name").as_deref(), Some("edge"));
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    assert!(client.end_time_unix_nano <= server.end_time_unix_nano);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_traces_are_dropped_and_new_ones_begun() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (origins, collector) = (Origin::start_many(1).await?, Collector::start().await?);
    let tracing = format!("endpoint: \"http://{}\", sample: 1", collector.address);
    let proxy = proxy_with(dir.path(), &origins, &tracing).await?;
    let upper = CALLER.to_uppercase();
    let cases: [&[(&str, &str)]; 4] = [
        &[("traceparent", &upper), ("tracestate", "a=1")],
        &[("traceparent", CALLER), ("traceparent", CALLER)],
        &[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")],
        &[("tracestate", "a=1")],
    ];
    for headers in cases {
        get(&proxy, headers).await?;
        let [traceparent] = told(&origins[0], "traceparent").try_into().unwrap();
        assert!(traceparent.starts_with("00-") && !traceparent.contains("0af7651916cd43dd"), "{traceparent}");
        assert!(told(&origins[0], "tracestate").is_empty(), "{headers:?}");
    }
    let spans = spans(&collector, 8).await?;
    let roots = spans.iter().filter(|span| span.kind == SpanKind::Server as i32);
    assert!(roots.clone().count() == 4 && roots.clone().all(|span| span.parent_span_id.is_empty()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_is_read_and_written_where_it_is_configured_and_a_callers_no_is_kept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (origins, collector) = (Origin::start_many(1).await?, Collector::start().await?);
    let tracing =
        format!("endpoint: \"http://{}\", sample: 1, propagation: [b3, b3multi]", collector.address);
    let proxy = proxy_with(dir.path(), &origins, &tracing).await?;
    let no = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0";
    get(&proxy, &[("b3", no), ("traceparent", "left alone")]).await?;
    assert_eq!(told(&origins[0], "b3"), [no]);
    assert_eq!(told(&origins[0], "x-b3-sampled"), ["0"]);
    assert_eq!(told(&origins[0], "traceparent"), ["left alone"]);
    let ids = [("x-b3-traceid", "64fe8b2a57d3eff7"), ("x-b3-spanid", "e457b5a2e4d86bd1")];
    get(&proxy, &[ids[0], ids[1], ("x-b3-sampled", "1")]).await?;
    let spans = spans(&collector, 2).await?;
    let client = of_kind(&spans, SpanKind::Client);
    assert_eq!(spans.len(), 2, "the first was not to be recorded");
    assert_eq!(told(&origins[0], "x-b3-traceid"), ["000000000000000064fe8b2a57d3eff7"]);
    assert_eq!(told(&origins[0], "x-b3-spanid"), [hex(&client.span_id)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_an_error_in_the_trace() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (origins, collector) = (Origin::start_many(1).await?, Collector::start().await?);
    let tracing = format!("endpoint: \"http://{}\", sample: 1", collector.address);
    let mut proxy = proxy_with(dir.path(), &origins, &tracing).await?;
    origins[0].behave(Behaviour { failing_percent: 100, ..Behaviour::default() });
    assert_eq!(get(&proxy, &[]).await?, 500);
    // What still waits is sent at the end.
    proxy.process.signal(Signal::SIGTERM)?;
    assert!(proxy.process.ended().await?.success());
    let spans = spans(&collector, 2).await?;
    for span in &spans {
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2), "{span:?}");
        assert_eq!(attribute(&span.attributes, "error.type").as_deref(), Some("500"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_or_silent_costs_no_request_and_is_counted() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let origins = Origin::start_many(1).await?;
    // Accepts and says nothing, for ever.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let at = silent.local_addr()?;
    let tracing = format!("endpoint: \"http://{at}\", sample: 1, timeout_ms: 300, queue: 4");
    let mut proxy = proxy_with(dir.path(), &origins, &tracing).await?;
    let client = reqwest::Client::new();
    eventually("lost spans are counted", SOON, async || {
        for _ in 0..50 {
            let asked = Instant::now();
            assert_eq!(client.get(&proxy.url).send().await?.status(), 200);
            assert!(asked.elapsed() < Duration::from_secs(2), "a request waited for the collector");
        }
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse::<f64>().ok()).context("no such metric")
        };
        Ok(value("proxy_spans_dropped_total ")? > 0.0 && value("proxy_spans_failed_total ")? > 0.0)
    })
    .await?;
    let draining = Instant::now();
    proxy.process.signal(Signal::SIGTERM)?;
    assert!(proxy.process.ended().await?.success());
    assert!(draining.elapsed() < Duration::from_secs(15), "{:?}", draining.elapsed());
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}
