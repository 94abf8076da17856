//! Endpoints that fail, are taken out, or come back; and the proxy's own end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use protocol::snapshot::Health;
use proxy::live_state::HeldBreaker;
use proxy::settings::{Breaker, HealthCheck};
use proxy::upstream::health_check;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::mesh::{Mesh, live, with_service, with_settings};
use super::origin;
use super::wire::{PATIENCE, get, status};

#[tokio::test]
async fn no_response_is_504_502_or_502_by_what_went_wrong() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    assert_eq!(status(&get(mesh.address, "/never", "").await), 504);
    let mesh = Mesh::start(live(&[origin::breaking().await]));
    assert_eq!(status(&get(mesh.address, "/", "").await), 502);
    let mesh = Mesh::start(live(&[origin::nobody().await]));
    let answer = get(mesh.address, "/", "").await;
    assert_eq!(status(&answer), 502);
    assert!(!answer.contains("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn an_endpoint_that_is_ejected_weightless_tripped_or_unhealthy_gets_nothing() {
    let origins = [origin::start().await, origin::start().await, origin::start().await];
    let mut mesh = Mesh::start(live(&origins.each_ref().map(|o| o.address)));
    let requests = || [0, 1, 2].map(|at: usize| origins[at].requests());
    let changes: [fn(&mut proxy::live_state::LiveEndpoint); 3] =
        [|e| e.ejected = true, |e| e.weight = 0, |e| e.breaker = HeldBreaker::Open];
    for change in changes {
        mesh.change(|live| with_service(live, |s| change(&mut s.endpoints[1])));
        let before = requests();
        for _ in 0..12 {
            assert_eq!(status(&get(mesh.address, "/status/200", "").await), 200);
        }
        let after = requests();
        assert_eq!(after[1], before[1]);
        assert!(after[0] - before[0] >= 4 && after[2] - before[2] >= 4, "{before:?} {after:?}");
        mesh.change(|live| {
            with_service(live, |s| {
                (s.endpoints[1].ejected, s.endpoints[1].weight) = (false, 100);
                s.endpoints[1].breaker = HeldBreaker::Free;
            });
        });
    }
    let table = mesh.table.load_full();
    let states = &table.services.values().next().unwrap().endpoints;
    states[1].state.set_health(Health::Unhealthy, 1);
    let before = requests()[1];
    for _ in 0..6 {
        get(mesh.address, "/status/200", "").await;
    }
    assert_eq!(requests()[1], before);
    // When hardly any passes its check, the checks are not believed.
    states.iter().for_each(|endpoint| endpoint.state.set_health(Health::Unhealthy, 1));
    for _ in 0..6 {
        assert_eq!(status(&get(mesh.address, "/status/200", "").await), 200);
    }
    assert!(requests()[1] > before);
}

#[tokio::test]
async fn a_breaker_opens_on_failures_and_closes_after_a_good_probe() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_service(&mut live, |service| {
        let mut settings = (*service.settings).clone();
        settings.breaker = settings.breaker.map(|breaker| Breaker { failure_threshold: 3, ..breaker });
        service.settings = settings.into();
    });
    let mesh = Mesh::start(live);
    for _ in 0..3 {
        assert_eq!(status(&get(mesh.address, "/status/500", "").await), 500);
    }
    assert_eq!(status(&get(mesh.address, "/status/200", "").await), 503);
    assert_eq!(origin.requests(), 3);
    sleep(Duration::from_millis(250)).await;
    for _ in 0..3 {
        assert_eq!(status(&get(mesh.address, "/status/200", "").await), 200);
    }
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_replaced_unseen() {
    let mesh = Mesh::start(live(&[origin::forgetful().await]));
    for _ in 0..30 {
        assert_eq!(status(&get(mesh.address, "/", "").await), 200);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(mesh.counted().failed, 0);
}

#[tokio::test]
async fn active_checks_take_an_endpoint_out_and_follow_the_table() {
    let (good, gone) = (origin::start().await, origin::nobody().await);
    let mut live = live(&[good.address, gone]);
    with_service(&mut live, |service| {
        let mut settings = (*service.settings).clone();
        settings.health_check = Some(HealthCheck {
            path: "/status/200".into(),
            interval: Duration::from_millis(30),
            timeout: Duration::from_millis(500),
            unhealthy_threshold: 2,
            healthy_threshold: 2,
        });
        service.settings = settings.into();
    });
    let mut mesh = Mesh::start(live);
    let shutdown = CancellationToken::new();
    let checking = tokio::spawn(health_check::run(mesh.table.clone(), shutdown.clone()));
    sleep(Duration::from_millis(400)).await;
    for _ in 0..6 {
        assert_eq!(status(&get(mesh.address, "/status/200", "").await), 200);
    }
    let health = |mesh: &Mesh| {
        let table = mesh.table.load_full();
        let endpoints = &table.services.values().next().unwrap().endpoints;
        [endpoints[0].state.health(), endpoints[1].state.health()]
    };
    assert_eq!(health(&mesh), [Health::Healthy, Health::Unhealthy]);
    mesh.change(|live| {
        with_service(live, |service| {
            let mut settings = (*service.settings).clone();
            settings.health_check = None;
            service.settings = settings.into();
        });
    });
    sleep(Duration::from_millis(500)).await;
    assert_eq!(health(&mesh), [Health::Unknown, Health::Unknown]);
    shutdown.cancel();
    checking.await.unwrap();
}

#[tokio::test]
async fn a_drain_says_goodbye_to_http2_at_once_and_finishes_its_requests() {
    let origin = origin::start().await;
    let mesh = Mesh::start(live(&[origin.address]));
    let io = TokioIo::new(TcpStream::connect(mesh.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/slow", mesh.address));
    let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap());
    let drain = async {
        sleep(Duration::from_millis(100)).await;
        mesh.lifecycle.drain.cancel();
    };
    let (response, ()) = tokio::join!(response, drain);
    let body = response.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.as_ref(), b"/slow\n");
    assert!(timeout(PATIENCE, connection).await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way_and_says_that_it_closes() {
    let origin = origin::start().await;
    let mut live = live(&[origin.address]);
    with_settings(&mut live, |s| s.server.request_timeout = Duration::from_secs(5));
    let mut mesh = Mesh::start(live);
    let mut idle = TcpStream::connect(mesh.address).await.unwrap();
    idle.write_all(b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    idle.read_u8().await.unwrap();
    let mut slow = TcpStream::connect(mesh.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    mesh.lifecycle.drain.cancel();
    sleep(Duration::from_millis(50)).await;
    let late = get(mesh.address, "/status/200", "").await;
    assert!(status(&late) == 200 && late.contains("connection: close"), "{late}");
    mesh.lifecycle.stop_accepting.cancel();
    let mut answer = String::new();
    timeout(PATIENCE, slow.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("200 OK") && answer.contains("connection: close"), "{answer}");
    for worker in &mesh.workers {
        timeout(PATIENCE, worker.ended()).await.unwrap();
    }
    assert!(TcpStream::connect(mesh.address).await.is_err());
    mesh.workers.drain(..).for_each(|worker| worker.join().unwrap());
}
