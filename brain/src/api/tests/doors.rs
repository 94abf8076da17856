//! Roles, sessions, lock-out and hosts at the API.

use reqwest::{Method, Response, StatusCode};

use super::*;

impl Served {
    async fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)], body: Value) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).json(&body);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Logs in; the cookie, and the word that goes with it.
    async fn log_in(&self, token: &str) -> (String, String) {
        let answer = self.ask(Method::POST, "/v1/session", &[], json!({ "token": token })).await;
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let view: Value = answer.json().await.unwrap();
        (cookie.split(';').next().unwrap().to_owned(), view["csrf"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn each_role_does_what_is_its_own_and_nothing_else() {
    let api = serve_with(false).await;
    let action =
        json!({ "service": "x", "lease_ms": 5000, "kind": { "type": "shed_load", "fraction": 0.1 } });
    let yes = json!({ "digest": "read" });
    let deeds = [
        (Method::GET, "/v1/status", json!({}), ["looks", "agrees", "builds", "right"].as_slice()),
        (Method::GET, "/v1/audit", json!({}), &["looks", "agrees", "builds", "right"]),
        (Method::POST, "/v1/proposals/prop-1/approve", yes, &["agrees", "right"]),
        (Method::POST, "/v1/proposals/prop-1/reject", json!({ "reason": "no" }), &["agrees", "right"]),
        (Method::POST, "/v1/actions", action, &["builds", "right"]),
        (Method::POST, "/v1/actions/act-1/undo", json!({}), &["right"]),
        (Method::POST, "/v1/canaries", json!({}), &["builds", "right"]),
        (Method::POST, "/v1/canaries/can-1/resume", json!({}), &["agrees", "builds", "right"]),
        (Method::POST, "/v1/canaries/can-1/rollback", json!({}), &["builds", "right"]),
        (Method::POST, "/v1/mode", json!({ "mode": "observe" }), &["right"]),
        (Method::POST, "/v1/freeze", json!({}), &["right"]),
        (Method::POST, "/v1/unfreeze", json!({}), &["right"]),
    ];
    for (method, path, body, may) in deeds {
        for token in ["looks", "agrees", "builds", "right"] {
            let shown = format!("Bearer {token}");
            let fields = [("authorization", shown.as_str())];
            let status = api.ask(method.clone(), path, &fields, body.clone()).await.status();
            assert_eq!(status != StatusCode::FORBIDDEN, may.contains(&token), "{token} {path}: {status}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{token} {path}");
        }
        let answer = api.ask(method.clone(), path, &[], body.clone()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"] == "Bearer realm=\"lightsout\""),
            (401, true)
        );
    }
    for open in ["/health", "/", "/openapi.json", "/metrics"] {
        assert_eq!(api.get(open).await.0, 200, "{open}");
    }
}

#[tokio::test]
async fn a_browser_writes_by_cookie_only_with_the_word_of_its_own_page() {
    let api = serve().await;
    let (cookie, csrf) = api.log_in("right").await;
    let host = api.url.trim_start_matches("http://").to_owned();
    let (own, foreign) = (format!("http://{host}"), "http://evil.example".to_owned());
    let with = |fields: Vec<(&'static str, String)>| {
        let (api, cookie) = (&api, cookie.clone());
        async move {
            let mut all: Vec<(&str, &str)> = vec![("cookie", &cookie)];
            all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
            api.ask(Method::POST, "/v1/freeze", &all, json!({})).await.status().as_u16()
        }
    };
    assert_eq!(with(vec![]).await, 403, "a form of another page");
    assert_eq!(with(vec![("x-csrf-token", "0".repeat(64))]).await, 403);
    assert_eq!(with(vec![("x-csrf-token", csrf.clone()), ("origin", foreign)]).await, 403);
    assert_eq!(with(vec![("x-csrf-token", csrf.clone()), ("origin", "null".to_owned())]).await, 403);
    assert_eq!(with(vec![("x-csrf-token", csrf.clone())]).await, 200);
    assert_eq!(with(vec![("x-csrf-token", csrf.clone()), ("origin", own)]).await, 200);
    let fields = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let view: Value =
        api.ask(Method::GET, "/v1/session", &fields[..1], json!({})).await.json().await.unwrap();
    assert_eq!(
        (&view["name"], &view["role"], &view["csrf"]),
        (&json!("operator"), &json!("operator"), &json!(csrf))
    );
    let out = api.ask(Method::DELETE, "/v1/session", &fields, json!({})).await;
    assert_eq!(out.status(), 204);
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(with(vec![("x-csrf-token", csrf.clone())]).await, 401, "the session is over");
    assert_eq!(api.ask(Method::GET, "/v1/session", &fields, json!({})).await.status(), 401);
}

#[tokio::test]
async fn a_session_has_its_tokens_role_and_a_login_from_elsewhere_opens_none() {
    let api = serve_with(false).await;
    let (cookie, csrf) = api.log_in("looks").await;
    let fields = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    assert_eq!(api.ask(Method::GET, "/v1/status", &fields, json!({})).await.status(), 200);
    assert_eq!(api.ask(Method::POST, "/v1/freeze", &fields, json!({})).await.status(), 403);
    let foreign = [("origin", "http://evil.example")];
    let login = json!({ "token": "right" });
    assert_eq!(api.ask(Method::POST, "/v1/session", &foreign, login).await.status(), 403);
    let forged = api.http.post(format!("{}/v1/session", api.url)).body("{\"token\":\"right\"}");
    assert_eq!(forged.header("content-type", "text/plain").send().await.unwrap().status(), 400);
    assert_eq!(api.ask(Method::POST, "/v1/session", &[], json!({ "token": "wrong" })).await.status(), 401);
}

#[tokio::test]
async fn who_guesses_waits_longer_and_longer() {
    let api = serve().await;
    let guess =
        async || api.ask(Method::POST, "/v1/freeze", &[("authorization", "Bearer guess")], json!({})).await;
    for _ in 0..trust::lockout::FREE {
        assert_eq!(guess().await.status(), 401);
    }
    let locked = guess().await;
    assert_eq!((locked.status().as_u16(), &locked.headers()["retry-after"] == "1"), (429, true));
    assert_eq!(api.ask(Method::POST, "/v1/session", &[], json!({ "token": "guess" })).await.status(), 429);
    let metrics = api.http.get(format!("{}/metrics", api.url)).send().await.unwrap().text().await.unwrap();
    for line in [
        format!("lightsout_api_turned_away_total{{reason=\"unauthenticated\"}} {}", trust::lockout::FREE),
        "lightsout_api_turned_away_total{reason=\"locked\"} 2".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert_eq!(api.post("/v1/freeze", json!({})).await.0, 200, "on loopback the operator is not locked out");
}

#[tokio::test]
async fn a_rebound_browser_reads_and_writes_nothing() {
    let api = serve().await;
    for path in ["/", "/health", "/v1/status", "/v1/session"] {
        let answer = api.ask(Method::GET, path, &[("host", "evil.example:7070")], json!({})).await;
        assert_eq!(answer.status(), 421, "{path}");
    }
    let fields = [("host", "evil.example"), ("authorization", "Bearer right")];
    assert_eq!(api.ask(Method::POST, "/v1/freeze", &fields, json!({})).await.status(), 421);
    for host in ["localhost:7070", "127.0.0.1", "mesh.example.com", "brain:7070"] {
        let answer = api.ask(Method::GET, "/v1/status", &[("host", host)], json!({})).await;
        assert_eq!(answer.status(), 200, "{host}");
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(
            answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
        );
    }
}
