//! By HTTP: the request's method, target (behind the path of the authorizer's URL), host, fields, and what it is to
//! get of the body. 2xx allows it, 3xx and 4xx is what the client is answered, all else is a failure.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Version};
use http_body_util::Full;

use super::{About, Line, Said, target};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Who asks, as far as this proxy knows.
const USER: HeaderName = HeaderName::from_static("x-lightsout-user");
/// By which route.
const ROUTE: HeaderName = HeaderName::from_static("x-lightsout-route");
/// What is about a body as its client sends it, or about a connection.
const NOT_SENT: [HeaderName; 4] = [CONTENT_LENGTH, EXPECT, TE, TRAILER];

impl Line {
    pub(super) async fn by_http(&self, parts: &Parts, about: About<'_>) -> Result<Said, String> {
        let request = self.question(parts, about).ok_or("the request cannot be asked about")?;
        let (head, body) = self.ask(request).await.map_err(|why| why.to_string())?.into_parts();
        match head.status.as_u16() {
            200..300 => {
                let mut said = Said::default();
                for (name, value) in &head.headers {
                    self.to.note(&mut said.fields, name.as_str().as_bytes(), value.as_bytes());
                }
                Ok(said)
            }
            status @ 300..500 if status != 429 => {
                let denial = self.to.denial(status, &head.headers, body.to_bytes());
                Ok(Said { denial: Some(denial), ..Said::default() })
            }
            other => Err(format!("it answers {other}")),
        }
    }

    fn question(&self, parts: &Parts, about: About<'_>) -> Option<Request<Full<Bytes>>> {
        let mut fields = self.to.fields(parts, about);
        NOT_SENT.iter().for_each(|name| drop(fields.remove(name)));
        for (name, text) in [
            (HOST, about.host),
            (X_FORWARDED_FOR, about.ip.to_string().as_str()),
            (X_REQUEST_ID, about.id),
            (USER, about.who),
            (ROUTE, about.route),
        ] {
            fields.remove(&name);
            let value = HeaderValue::from_str(text).ok().filter(|_| !text.is_empty());
            value.into_iter().for_each(|value| drop(fields.insert(name.clone(), value)));
        }
        let body = about.body.map(|held| held.bytes.clone()).unwrap_or_default();
        // Some servers take no POST without it, and hyper leaves it out where there is no body.
        fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let path = format!("{}{}", self.to.remote.path().trim_end_matches('/'), target(parts));
        let request = Request::builder().method(parts.method.clone()).uri(path).version(Version::HTTP_11);
        let mut request = request.body(Full::new(body)).ok()?;
        *request.headers_mut() = fields;
        Some(request)
    }
}
