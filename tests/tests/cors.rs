//! Pages of other origins, over real processes, by the Fetch standard; and fields that tell browsers to be careful.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use anyhow::{Result, ensure};
use reqwest::{Client, Response};
use tests::{Origin, Proxy, proxy_config};

async fn proxy(more: &str) -> Result<(Proxy, Vec<Origin>, tempfile::TempDir)> {
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let text = proxy_config(dir.path(), &origins, more)?;
    Ok((Proxy::start(dir.path(), &text).await?, origins, dir))
}

async fn ask(url: &str, method: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let mut request = Client::new().request(method.parse()?, url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?)
}

fn field<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

const APP: (&str, &str) = ("origin", "https://app.test");
const EVIL: (&str, &str) = ("origin", "https://evil.test");
const CONFIG: &str = "security:\n  authentication:\n    required: [keys]\n    providers:\n      keys: { api_keys: { keys: [] } }\n\
    routes:\n  - name: api\n    path: { prefix: /api }\n    methods: [GET, PUT, DELETE]\n    authentication: []\n    \
    cors: { origins: [\"https://app.test\"], methods: [PUT], headers: [x-a, authorization], expose: [x-total], credentials: true, max_age_s: 600 }\n    \
    response_headers: { set: { access-control-allow-origin: \"*\", x-total: \"7\" } }\n    split: [ { service: cart } ]\n  \
    - { name: open, path: { prefix: /open }, authentication: [], cors: { origins: [\"*\"] }, split: [ { service: cart } ] }\n  \
    - { name: closed, path: { prefix: /closed }, cors: { origins: [\"https://app.test\"] }, split: [ { service: cart } ] }\n  \
    - { name: rest, authentication: [], split: [ { service: cart } ] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_here_before_anyone_is_asked_who_they_are() -> Result<()> {
    let (proxy, origins, _dir) = proxy(CONFIG).await?;
    let put = [
        APP,
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,x-a"),
    ];
    let granted = ask(&format!("{}/api/a", proxy.url), "OPTIONS", &put).await?;
    ensure!(granted.status() == 204, "{granted:?}");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.test"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "authorization, x-a"),
        ("access-control-max-age", "600"),
    ] {
        ensure!(field(&granted, name) == [value], "{name}: {granted:?}");
    }
    ensure!(field(&granted, "vary").contains(&"origin"), "{granted:?}");
    for fields in [
        [EVIL, put[1], put[2]],
        [("origin", "null"), put[1], put[2]],
        [APP, ("access-control-request-method", "DELETE"), put[2]],
        [APP, put[1], ("access-control-request-headers", "x-b")],
    ] {
        let refused = ask(&format!("{}/api/a", proxy.url), "OPTIONS", &fields).await?;
        ensure!(field(&refused, "access-control-allow-origin").is_empty(), "{fields:?}: {refused:?}");
    }
    let closed = [APP, ("access-control-request-method", "GET")];
    let answer = ask(&format!("{}/closed", proxy.url), "OPTIONS", &closed).await?;
    ensure!(answer.status() == 204, "a preflight brings no credentials: {answer:?}");
    ensure!(origins[0].requests() == 0, "no endpoint was asked");
    ensure!(
        ask(&format!("{}/x", proxy.url), "OPTIONS", &put).await?.status() == 200,
        "elsewhere it is a request"
    );
    ensure!(origins[0].requests() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_whose_pages_may_read_them_refusals_too() -> Result<()> {
    let (proxy, _origins, _dir) = proxy(CONFIG).await?;
    let url = |path: &str| format!("{}{path}", proxy.url);
    let read = ask(&url("/api"), "GET", &[APP]).await?;
    ensure!(
        field(&read, "access-control-allow-origin") == ["https://app.test"],
        "the endpoint's own is replaced: {read:?}"
    );
    ensure!(
        field(&read, "access-control-expose-headers") == ["x-total"] && field(&read, "vary") == ["origin"],
        "{read:?}"
    );
    for fields in [&[EVIL][..], &[]] {
        let kept = ask(&url("/api"), "GET", fields).await?;
        ensure!(kept.status() == 200 && field(&kept, "access-control-allow-origin").is_empty(), "{kept:?}");
        ensure!(field(&kept, "vary") == ["origin"], "a cache must not mix them up: {kept:?}");
    }
    let refused = ask(&url("/closed"), "GET", &[APP]).await?;
    ensure!(refused.status() == 401, "{refused:?}");
    ensure!(
        field(&refused, "access-control-allow-origin") == ["https://app.test"],
        "the page may read why: {refused:?}"
    );
    let open = ask(&url("/open"), "GET", &[EVIL]).await?;
    ensure!(
        field(&open, "access-control-allow-origin") == ["*"] && field(&open, "vary").is_empty(),
        "{open:?}"
    );
    ensure!(field(&open, "access-control-allow-credentials").is_empty(), "{open:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_to_be_careful_and_of_tls_only_over_tls() -> Result<()> {
    let fields = "security:\n  response_headers: { hsts: { max_age_s: 60 }, nosniff: true, frame_options: deny, referrer_policy: no-referrer, content_security_policy: \"default-src 'self'\" }\n\
                  routes:\n  - { name: own, path: { prefix: /own }, response_headers: { set: { x-frame-options: SAMEORIGIN } }, split: [ { service: cart } ] }\n  \
                  - { name: rest, path: { prefix: /rest }, split: [ { service: cart } ] }\n";
    let (origins, dir) = (Origin::start_many(1).await?, tempfile::tempdir()?);
    let text =
        proxy_config(dir.path(), &origins, fields)?.replace("workers: 2", "trusted_proxies: [127.0.0.1]");
    let proxy = Proxy::start(dir.path(), &text).await?;
    for (path, frames) in [("/rest", "DENY"), ("/own", "SAMEORIGIN"), ("/nowhere", "DENY")] {
        let answer = ask(&format!("{}{path}", proxy.url), "GET", &[]).await?;
        ensure!(field(&answer, "x-frame-options") == [frames], "{path}: {answer:?}");
        ensure!(field(&answer, "x-content-type-options") == ["nosniff"], "{path}: {answer:?}");
        ensure!(field(&answer, "content-security-policy") == ["default-src 'self'"], "{path}: {answer:?}");
        ensure!(field(&answer, "strict-transport-security").is_empty(), "{path}: {answer:?}");
    }
    let over_tls = ask(&format!("{}/rest", proxy.url), "GET", &[("x-forwarded-proto", "https")]).await?;
    ensure!(field(&over_tls, "strict-transport-security") == ["max-age=60"], "{over_tls:?}");
    Ok(())
}
