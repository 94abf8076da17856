//! Windows say what happened, and reach a brain that comes, goes and comes back.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::id::ProxyId;
use protocol::telemetry::{Cell, Window};
use protocol::wire::v1;
use protocol::wire::v1::telemetry_server::{Telemetry, TelemetryServer};
use proxy::settings::{Ai, AiMode};
use proxy::telemetry::stream::{self, StreamArgs};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::mesh::{Mesh, live, with_settings};
use super::origin;
use super::wire::get;

/// A brain that keeps what it is told.
#[derive(Clone, Default)]
struct Brain {
    windows: Arc<Mutex<Vec<Window>>>,
    announced: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl Telemetry for Brain {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<v1::Ack, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::Window>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let said = ["lightsout-protocol", "lightsout-proxy", "lightsout-admin", "authorization"];
        let said = said.map(|key| request.metadata().get(key).unwrap().to_str().unwrap().to_owned());
        *self.announced.lock().unwrap() = said.to_vec();
        let (sender, acks) = mpsc::channel(4);
        let (mut frames, windows) = (request.into_inner(), Arc::clone(&self.windows));
        tokio::spawn(async move {
            while let Some(Ok(frame)) = frames.next().await {
                let window = Window::try_from(frame).unwrap();
                let seq = window.seq;
                windows.lock().unwrap().push(window);
                let _ = sender.send(Ok(v1::Ack { seq })).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(acks))))
    }
}

impl Brain {
    fn cells(&self) -> Vec<Cell> {
        self.windows.lock().unwrap().iter().flat_map(|window| window.cells.clone()).collect()
    }
}

fn serve(brain: &Brain, listener: TcpListener) -> tokio::task::JoinHandle<()> {
    let service = TelemetryServer::new(brain.clone());
    tokio::spawn(async move {
        let router = tonic::transport::Server::builder().add_service(service);
        router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    })
}

fn ai(token_path: std::path::PathBuf) -> Ai {
    Ai {
        tls: None,
        proxy: ProxyId::new("p1").unwrap(),
        caller: "web".into(),
        brain: None,
        token_path: Some(token_path),
        admin_url: None,
        data_dir: "d".into(),
        mode: AiMode::Observe,
        window: Duration::from_millis(250),
        decision_threshold: None,
    }
}

#[tokio::test]
async fn windows_tell_the_brain_what_happened_also_what_it_missed() {
    let (good, gone) = (origin::start().await, origin::nobody().await);
    let mut live = live(&[good.address, gone]);
    with_settings(&mut live, |s| s.server.request_timeout = Duration::from_secs(1));
    let mut mesh = Mesh::start(live);
    let (_, unused) = mpsc::channel(1);
    let parts = std::mem::replace(&mut mesh.parts, unused);
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "secret-token\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (dropped, shutdown) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let streaming = tokio::spawn(stream::run(StreamArgs {
        parts,
        ai: ai(token.path().to_owned()),
        brain_url: format!("http://{address}"),
        boot: "boot-1".into(),
        admin_url: "http://127.0.0.1:9901".into(),
        table: Arc::clone(&mesh.table),
        dropped: Arc::clone(&dropped),
        shutdown: shutdown.clone(),
    }));

    // The brain is away while all of this happens.
    for _ in 0..10 {
        get(mesh.address, "/status/200", "").await;
    }
    for path in ["/status/404", "/status/500", "/never", "/status/200"] {
        get(mesh.address, path, "").await;
        get(mesh.address, path, "").await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let brain = Brain::default();
    let serving = serve(&brain, TcpListener::bind(address).await.unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;

    let cells = brain.cells();
    assert!(cells.iter().all(|cell| cell.contradiction().is_none()), "{cells:?}");
    let at = |endpoint: String| cells.iter().filter(move |cell| cell.endpoint == endpoint);
    let sum = |endpoint: &dyn ToString, count: fn(&Cell) -> u64| -> u64 {
        at(endpoint.to_string()).map(count).sum()
    };
    let all: u64 = cells.iter().map(|cell| cell.requests).sum();
    assert_eq!(all, 18);
    assert_eq!(sum(&gone, |c| c.connect_failures), sum(&gone, |c| c.requests));
    assert!(sum(&gone, |c| c.requests) >= 7);
    let answered = sum(&good.address, |c| c.responses("2xx") + c.responses("4xx") + c.responses("5xx"));
    assert_eq!(answered + sum(&good.address, |c| c.timeouts), sum(&good.address, |c| c.requests));
    assert!(
        cells
            .iter()
            .all(|c| (c.caller.as_str(), c.route.as_str(), c.version.as_str()) == ("web", "all", "v1"))
    );

    let windows = brain.windows.lock().unwrap().clone();
    assert!(windows.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "none is missing");
    assert!(windows.iter().all(|w| w.start_ms % 250 == 0 && w.config_hash == "config"));
    let clients: u64 = windows.iter().flat_map(|w| &w.clients).map(|c| c.requests).sum();
    assert_eq!(clients, 18);
    assert!(windows.iter().any(|w| w.cells.is_empty()), "a quiet second is told too");
    let said = brain.announced.lock().unwrap().clone();
    assert_eq!(said, ["1", "p1", "http://127.0.0.1:9901", "Bearer secret-token"]);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    shutdown.cancel();
    streaming.await.unwrap();
    serving.abort();
}

#[tokio::test]
async fn a_known_service_without_an_endpoint_shows_in_its_own_cell() {
    let origin = origin::start().await;
    let mut mesh = Mesh::start(live(&[origin.address]));
    mesh.change(|live| super::mesh::with_service(live, |s| s.endpoints[0].ejected = true));
    assert_eq!(super::wire::status(&get(mesh.address, "/", "").await), 503);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    loop {
        let part = tokio::time::timeout_at(deadline, mesh.parts.recv()).await.unwrap().unwrap();
        if let Some(cell) = part.cells.first() {
            assert_eq!((cell.label.endpoint.as_str(), cell.counts.classes), ("none", [0, 0, 0, 0, 1]));
            break;
        }
    }
}
