//! An authorizer elsewhere, asked over HTTP and by Envoy's ext_authz over gRPC: what it may change, and what becomes
//! of requests when it fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use reqwest::{Client, Response, redirect};
use tests::{Origin, Proxy, Reply, Scripted, eventually, proxy_config};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::server::UnaryService;
use tonic_prost::ProstCodec;

async fn proxy(external: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let more = format!("security: {{ authorization: {{ external: {{ {external} }} }} }}\n");
    let text = proxy_config(dir.path(), &origins, &more)?;
    Ok((Proxy::start(dir.path(), &text).await?, origins, dir))
}

async fn ask(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let client = Client::builder().redirect(redirect::Policy::none()).build()?;
    let mut request = client.post(format!("{}{path}", proxy.url)).body("the body stays here");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?)
}

/// Says what a test's own plain HTTP server says, with fields.
async fn http_authorizer() -> Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let path = request.uri().path().to_owned();
                let said =
                    |name: &str| request.headers().get(name).map_or("-", |value| value.to_str().unwrap());
                let seen = format!(
                    "{} {} {} {}",
                    request.method(),
                    said("content-length"),
                    said("x-role"),
                    said("host")
                );
                let answer = http::Response::builder().header("x-seen", seen).header("x-evil", "1");
                let answer = match path.strip_prefix("/check").unwrap_or_default() {
                    "/in" => answer.status(202).header("x-role", "admin"),
                    "/login" => answer.status(302).header("location", "https://idp.test/"),
                    "/broken" => answer.status(500),
                    _ => answer.status(403),
                };
                Ok::<_, Infallible>(answer.body("told so".to_owned()).unwrap())
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok((address, AbortOnDropHandle::new(serving)))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_status_decides_and_only_named_fields_get_through() -> Result<()> {
    let (address, _serving) = http_authorizer().await?;
    let external = format!("url: \"http://{address}/check\", endpoint_headers: [x-role, x-seen]");
    let (proxy, origins, _dir) = proxy(&external).await?;
    for n in 0..5 {
        let lies = [("x-role", "root"), ("connection", "x-role")];
        ensure!(ask(&proxy, "/in", &lies[..n % 3]).await?.status() == 200, "{n}");
        let headers = origins[0].last_head().unwrap().headers;
        ensure!(headers["x-role"] == "admin" && headers.get_all("x-role").iter().count() == 1, "{headers:?}");
        ensure!(headers["x-seen"].to_str()?.starts_with("POST 0 - 127.0.0.1"), "{headers:?}");
        ensure!(!headers.contains_key("x-evil"), "{headers:?}");
    }
    let login = ask(&proxy, "/login", &[]).await?;
    ensure!(login.status() == 302 && login.headers()["location"] == "https://idp.test/", "{login:?}");
    ensure!(!login.headers().contains_key("x-evil"), "{login:?}");
    let denied = ask(&proxy, "/else", &[]).await?;
    ensure!(denied.status() == 403 && denied.text().await? == "told so");
    ensure!(ask(&proxy, "/broken", &[]).await?.status() == 403, "a failure denies");
    let call = ask(&proxy, "/else", &[("content-type", "application/grpc")]).await?;
    ensure!(call.headers()["grpc-status"] == "7", "a call is told in its own words: {call:?}");
    ensure!(origins[0].requests() == 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_answers_costs_its_time_once_and_denies_or_lets_pass_as_it_was_told() -> Result<()> {
    let never = Scripted::start(|_, _| std::future::pending::<Reply>()).await?;
    for (on_failure, status) in [("deny", 403), ("allow", 200)] {
        let external =
            format!("url: \"http://{}\", timeout_ms: 300, on_failure: {on_failure}", never.address);
        let (proxy, _origins, _dir) = proxy(&external).await?;
        let began = Instant::now();
        for _ in 0..20 {
            ensure!(ask(&proxy, "/", &[]).await?.status() == status, "{on_failure}");
        }
        ensure!(began.elapsed() < Duration::from_secs(5), "20 took {:?}", began.elapsed());
        let metrics = reqwest::get(format!("{}/metrics", proxy.admin)).await?.text().await?;
        let counted = "proxy_authorization_decisions_total{decision=\"error\",mode=\"enforce\"} 20\n";
        ensure!(metrics.contains(counted), "{metrics}");
    }
    Ok(())
}

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}
#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "4")]
    request: Option<Asked>,
    #[prost(map = "string, string", tag = "10")]
    extensions: HashMap<String, String>,
}
#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}
#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(int64, tag = "9")]
    size: i64,
    #[prost(string, tag = "11")]
    body: String,
    #[prost(bytes = "vec", tag = "12")]
    raw_body: Vec<u8>,
}
#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Code>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    allowed: Option<Allowed>,
}
#[derive(Clone, Copy, PartialEq, Message)]
struct Code {
    #[prost(int32, tag = "1")]
    code: i32,
}
#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<Code>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<Option_>,
    #[prost(string, tag = "3")]
    body: String,
}
#[derive(Clone, PartialEq, Message)]
struct Allowed {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<Option_>,
    #[prost(string, repeated, tag = "5")]
    remove: Vec<String>,
}
#[derive(Clone, PartialEq, Message)]
struct Option_ {
    #[prost(message, optional, tag = "1")]
    header: Option<Field>,
}
#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn field(key: &str, value: &str) -> Option_ {
    Option_ { header: Some(Field { key: key.to_owned(), value: value.to_owned() }) }
}

/// An authorizer as tonic serves it.
struct Judge;

impl UnaryService<CheckRequest> for Judge {
    type Response = CheckResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<CheckResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        Box::pin(async move {
            let attributes = request.into_inner().attributes.unwrap();
            let http = attributes.request.unwrap().http.unwrap();
            let seen =
                format!("{} {} {}", http.method, http.headers["user-agent"], attributes.extensions["route"]);
            let ok = Some(Code { code: 0 });
            Ok(tonic::Response::new(match http.path.as_str() {
                "/in?a=b" => CheckResponse {
                    status: ok,
                    allowed: Some(Allowed {
                        headers: vec![field("x-role", "admin"), field("x-evil", "1"), field("x-seen", &seen)],
                        remove: vec!["x-secret".to_owned(), "host".to_owned(), "content-length".to_owned()],
                    }),
                    ..CheckResponse::default()
                },
                "/body" => {
                    let partial = http.headers.get("x-envoy-auth-partial-body").map_or("-", String::as_str);
                    let raw = String::from_utf8_lossy(&http.raw_body).into_owned();
                    let seen = format!("{} {partial} {}|{raw}", http.size, http.body);
                    let headers = vec![field("x-seen", &seen)];
                    CheckResponse {
                        status: ok,
                        allowed: Some(Allowed { headers, remove: Vec::new() }),
                        ..CheckResponse::default()
                    }
                }
                "/plain" => CheckResponse { status: ok, ..CheckResponse::default() },
                "/empty" => CheckResponse::default(),
                "/fails" => return Err(Status::unavailable("not now")),
                _ => CheckResponse {
                    status: Some(Code { code: 16 }),
                    denied: Some(Denied {
                        status: Some(Code { code: 401 }),
                        headers: vec![field("www-authenticate", "Custom"), field("x-evil", "1")],
                        body: "who are you".to_owned(),
                    }),
                    ..CheckResponse::default()
                },
            }))
        })
    }
}

async fn grpc_authorizer() -> Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
                assert_eq!(request.uri().path(), "/envoy.service.auth.v3.Authorization/Check");
                let mut grpc = tonic::server::Grpc::new(ProstCodec::<CheckResponse, CheckRequest>::default());
                Ok::<_, Infallible>(grpc.unary(Judge, request).await)
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok((address, AbortOnDropHandle::new(serving)))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_it_is_asked_as_envoy_asks() -> Result<()> {
    let (address, _serving) = grpc_authorizer().await?;
    let external = format!("url: \"http://{address}\", protocol: grpc, endpoint_headers: [x-role, x-seen]");
    let (proxy, origins, _dir) = proxy(&external).await?;
    let fields = [("user-agent", "tester"), ("x-role", "root"), ("x-secret", "1")];
    for _ in 0..5 {
        ensure!(ask(&proxy, "/in?a=b", &fields).await?.status() == 200);
        let headers = origins[0].last_head().unwrap().headers;
        ensure!(headers["x-role"] == "admin" && headers["x-seen"] == "POST tester default", "{headers:?}");
        ensure!(!headers.contains_key("x-evil") && !headers.contains_key("x-secret"), "{headers:?}");
        ensure!(headers.contains_key("host"), "{headers:?}");
    }
    ensure!(ask(&proxy, "/plain", &fields).await?.status() == 200);
    ensure!(!origins[0].last_head().unwrap().headers.contains_key("x-role"), "nobody else may say it");
    let denied = ask(&proxy, "/else", &fields).await?;
    ensure!(denied.status() == 401 && denied.headers()["www-authenticate"] == "Custom", "{denied:?}");
    ensure!(!denied.headers().contains_key("x-evil") && denied.text().await? == "who are you");
    for failure in ["/fails", "/empty"] {
        ensure!(ask(&proxy, failure, &fields).await?.status() == 403, "{failure}");
        eventually("it is asked again after a while", Duration::from_secs(10), || async {
            Ok(ask(&proxy, "/plain", &fields).await?.status() == 200)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_the_body_is_text_or_bytes_and_its_size_is_known_where_it_is_whole() -> Result<()> {
    for (terms, expected) in [
        ("max_bytes: 100", "19 false the body stays here|"),
        ("max_bytes: 100, as_bytes: true", "19 false |the body stays here"),
        ("max_bytes: 8, allow_partial: true", "-1 true the body|"),
    ] {
        let (address, _serving) = grpc_authorizer().await?;
        let more = format!("endpoint_headers: [x-seen], request_body: {{ {terms} }}");
        let (proxy, origins, _dir) =
            proxy(&format!("url: \"http://{address}\", protocol: grpc, {more}")).await?;
        ensure!(ask(&proxy, "/body", &[("user-agent", "tester")]).await?.status() == 200, "{terms}");
        let seen = origins[0].last_head().unwrap().headers["x-seen"].clone();
        ensure!(seen == expected, "{terms}: {seen:?}");
    }
    Ok(())
}
