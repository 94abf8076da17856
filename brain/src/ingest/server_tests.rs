//! The telemetry service against a real tonic client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Channel, Server};
use v1::telemetry_client::TelemetryClient;

use super::*;

struct Served {
    client: TelemetryClient<Channel>,
    windows: mpsc::Receiver<Window>,
    metrics: Metrics,
    proxies: ProxyTable,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve() -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (inbox, windows) = mpsc::channel(1_000);
    let (metrics, stop) = (Metrics::new().unwrap(), CancellationToken::new());
    let proxies = ProxyTable::new(BTreeMap::new(), None);
    let token = Token::new("right").unwrap();
    let service = Ingest::new(token, proxies.clone(), inbox, metrics.clone(), stop.clone()).service();
    let until = stop.clone().cancelled_owned();
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), until),
    );
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    Served { client: TelemetryClient::new(channel), windows, metrics, proxies, stop }
}

fn window(proxy: &str, seq: u64) -> v1::Window {
    v1::Window {
        proxy: proxy.into(),
        boot: "b".into(),
        seq,
        start_ms: 1_700_000_000_000,
        duration_ms: 1_000,
        ..v1::Window::default()
    }
}

const SPOKEN: [(&str, &str); 4] = [
    ("authorization", "Bearer right"),
    (PROTOCOL_KEY, "1"),
    (PROXY_KEY, "p1"),
    (ADMIN_KEY, "http://127.0.0.1:9901"),
];

/// A stream that says `spoken`, with one of its lines replaced.
fn request<T>(frames: T, replaced: Option<(&'static str, &'static str)>) -> Request<T> {
    let mut request = Request::new(frames);
    for (key, value) in SPOKEN.into_iter().chain(replaced) {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

async fn refusal(served: &mut Served, replaced: (&'static str, &'static str)) -> Status {
    let frames = tokio_stream::iter([window("p1", 1)]);
    served.client.report(request(frames, Some(replaced))).await.unwrap_err()
}

#[tokio::test]
async fn a_window_of_an_authenticated_proxy_is_taken_and_acknowledged() {
    let mut served = serve().await;
    let frames = tokio_stream::iter([window("p1", 1), window("p1", 2)]);
    let mut acks = served.client.report(request(frames, None)).await.unwrap().into_inner();
    assert_eq!(acks.message().await.unwrap().unwrap().seq, 1);
    assert_eq!(acks.message().await.unwrap().unwrap().seq, 2);
    assert_eq!(served.windows.recv().await.unwrap().seq, 1);
    assert_eq!(served.windows.recv().await.unwrap().seq, 2);
    assert_eq!(served.proxies.target("p1").unwrap().admin.as_str(), "http://127.0.0.1:9901/");
}

#[tokio::test]
async fn whoever_cannot_say_who_it_is_is_refused_with_the_reason() {
    let mut served = serve().await;
    let wrong = refusal(&mut served, ("authorization", "Bearer wrong")).await;
    assert_eq!(wrong.code(), Code::Unauthenticated);
    let old = refusal(&mut served, (PROTOCOL_KEY, "7")).await;
    assert_eq!(old.code(), Code::FailedPrecondition);
    assert!(old.message().contains("\"7\"") && old.message().contains('1'), "{}", old.message());
    assert_eq!(refusal(&mut served, (PROXY_KEY, "a b")).await.code(), Code::InvalidArgument);
    for url in ["file:///etc/passwd", "http://u:p@h/", "http://h/v1?x=1", "nonsense", "https://h:1"] {
        assert_eq!(refusal(&mut served, (ADMIN_KEY, url)).await.code(), Code::InvalidArgument, "{url}");
    }
    assert!(served.proxies.known().is_empty());
    assert!(served.windows.try_recv().is_err());
}

#[tokio::test]
async fn a_window_in_anothers_name_and_garbage_are_refused_and_counted() {
    let mut served = serve().await;
    let mut endless = window("p1", 2);
    endless.duration_ms = 0;
    let frames = tokio_stream::iter([window("p2", 1), endless, window("p1", 3)]);
    let mut acks = served.client.report(request(frames, None)).await.unwrap().into_inner();
    while acks.message().await.unwrap().is_some() {}
    assert_eq!(served.windows.recv().await.unwrap().seq, 3);
    let counted = |reason| served.metrics.windows_refused.with_label_values(&[reason]).get();
    assert_eq!((counted("foreign"), counted("bad_frame")), (1, 1));
    assert_eq!(served.proxies.known()[0].windows_refused, 2);
}

#[tokio::test]
async fn a_frame_over_the_bound_ends_its_stream_and_nothing_else() {
    let mut served = serve().await;
    let mut huge = window("p1", 1);
    huge.config_hash = "x".repeat(MAX_FRAME_BYTES + 1);
    let frames = tokio_stream::iter([huge]);
    let answer = served.client.report(request(frames, None)).await;
    let ended = match answer {
        Ok(acks) => acks.into_inner().message().await.err(),
        Err(status) => Some(status),
    };
    assert!(ended.is_some());
    let frames = tokio_stream::iter([window("p1", 2)]);
    let mut acks = served.client.report(request(frames, None)).await.unwrap().into_inner();
    assert_eq!(acks.message().await.unwrap().unwrap().seq, 2);
}

#[tokio::test]
async fn the_newest_stream_of_a_proxy_ends_the_older() {
    let mut served = serve().await;
    let endless =
        || tokio_stream::StreamExt::chain(tokio_stream::iter([window("p1", 1)]), tokio_stream::pending());
    let mut first = served.client.report(request(endless(), None)).await.unwrap().into_inner();
    first.message().await.unwrap().unwrap();
    let mut second = served.client.report(request(endless(), None)).await.unwrap().into_inner();
    assert_eq!(first.message().await.unwrap_err().code(), Code::Aborted);
    second.message().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_proxy_that_floods_is_held_to_its_rate() {
    let mut served = serve().await;
    let frames = tokio_stream::iter((0..400).map(|seq| window("p1", seq)));
    let mut acks = served.client.report(request(frames, None)).await.unwrap().into_inner();
    while let Ok(Some(_)) = acks.message().await {}
    let refused = served.metrics.windows_refused.with_label_values(&["rate"]).get();
    assert!((200..=280).contains(&refused), "{refused} of 400 refused");
}
