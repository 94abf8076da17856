//! The demo's origin services: real HTTP servers that can be made sick one endpoint at a time.
//!
//! One process hosts every endpoint of one service (`lightsout demo-origin`). It ends when its
//! standard input closes, so that it cannot outlive the demo.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::Args;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fault::{Fault, GRAY_FAILURE_SHARE, SLOW_BY};

/// Share of answers that fail on a good day.
const ORDINARY_FAILURE_SHARE: f64 = 0.0005;
/// The quickest answer.
const LATENCY_FLOOR: Duration = Duration::from_millis(2);
/// Mean of what comes on top, exponentially distributed.
const LATENCY_MEAN_MS: f64 = 2.0;
/// How long an origin waits for the one it calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// What `lightsout demo-origin` is asked.
#[derive(Debug, Clone, Args)]
pub struct OriginArgs {
    /// The service's name.
    #[arg(long)]
    service: String,
    /// How many endpoints to host.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=16))]
    endpoints: u16,
    /// The URL called for every request.
    #[arg(long)]
    calls: Option<String>,
}

#[derive(Debug)]
struct Endpoint {
    calls: Option<String>,
    client: reqwest::Client,
    fault: watch::Sender<Fault>,
}

/// Hosts the endpoints until standard input closes.
///
/// # Errors
/// When no port can be had.
pub async fn run(args: OriginArgs) -> Result<()> {
    let client = reqwest::Client::builder().timeout(CALL_TIMEOUT).build()?;
    let mut endpoints = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..args.endpoints {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for an endpoint")?;
        addresses.push(listener.local_addr()?.to_string());
        let endpoint = Arc::new(Endpoint {
            calls: args.calls.clone(),
            client: client.clone(),
            fault: watch::Sender::new(Fault::None),
        });
        tokio::spawn(serve_endpoint(listener, Arc::clone(&endpoint)));
        endpoints.push(endpoint);
    }
    let control = TcpListener::bind("127.0.0.1:0").await.context("no port for the control listener")?;
    println!("{} ready: control={} endpoints={}", args.service, control.local_addr()?, addresses.join(","));
    let routes =
        Router::new().route("/fault/{endpoint}/{fault}", post(set_fault)).with_state(Arc::new(endpoints));
    tokio::select! {
        served = axum::serve(control, routes) => served.context("the control listener failed"),
        () = standard_input_closed() => Ok(()),
    }
}

async fn standard_input_closed() {
    let mut byte = [0; 1];
    while !matches!(tokio::io::stdin().read(&mut byte).await, Ok(0) | Err(_)) {}
}

async fn set_fault(
    State(endpoints): State<Arc<Vec<Arc<Endpoint>>>>,
    Path((index, fault)): Path<(usize, String)>,
) -> StatusCode {
    let fault = serde_json::from_value(serde_json::Value::String(fault));
    match (endpoints.get(index), fault) {
        (Some(endpoint), Ok(fault)) => {
            endpoint.fault.send_replace(fault);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::NOT_FOUND,
    }
}

/// Serves one endpoint; while it is hard down, nobody listens and every connection is cut.
async fn serve_endpoint(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut faults = endpoint.fault.subscribe();
    let mut listener = Some(listener);
    loop {
        let up = match listener.take() {
            Some(listener) => Ok(listener),
            None => listen_again(address),
        };
        let Ok(up) = up else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let down = faults.wait_for(|fault| *fault == Fault::HardDown);
        tokio::select! {
            () = accept(up, &endpoint) => {}
            _ = down => {}
        }
        if faults.wait_for(|fault| *fault != Fault::HardDown).await.is_err() {
            return;
        }
    }
}

fn listen_again(address: std::net::SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, endpoint: &Arc<Endpoint>) {
    let router = Router::new()
        .route("/health", get(|| async { "ok" }))
        .fallback(answer)
        .with_state(Arc::clone(endpoint));
    // Dropping the set aborts every connection: that is what going down means.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is none of our business.
            let _ = served.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(State(endpoint): State<Arc<Endpoint>>) -> (StatusCode, String) {
    let fault = *endpoint.fault.borrow();
    let tail_ms = -LATENCY_MEAN_MS * (1.0 - fastrand::f64()).ln();
    tokio::time::sleep(LATENCY_FLOOR + Duration::from_secs_f64(tail_ms / 1e3)).await;
    if fault == Fault::SlowEndpoint {
        tokio::time::sleep(SLOW_BY).await;
    }
    let share = if fault == Fault::GrayEndpoint { GRAY_FAILURE_SHARE } else { ORDINARY_FAILURE_SHARE };
    if fastrand::f64() < share {
        return (StatusCode::INTERNAL_SERVER_ERROR, "out of order\n".to_owned());
    }
    match call_next(&endpoint).await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::BAD_GATEWAY, format!("{why}\n")),
    }
}

async fn call_next(endpoint: &Endpoint) -> Result<()> {
    let Some(url) = &endpoint.calls else { return Ok(()) };
    let response = endpoint.client.get(url).send().await?;
    let status = response.status();
    // Read to the end, so that the connection can be used again.
    response.bytes().await?;
    if !status.is_success() {
        bail!("the next service answered {status}");
    }
    Ok(())
}
