//! By gRPC: `envoy.service.auth.v3.Authorization/Check`. Code 0 allows; any other denies, with what
//! `denied_response` says; an answer without a status is a failure.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{Collected, Full};
use prost::Message;

use super::check::{
    Address, Asked, Attributes, CheckRequest, CheckResponse, Denied, HttpRequest, PATH, Peer, SocketAddress,
};
use super::{About, External, Line, Said, target};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

impl Line {
    pub(super) async fn by_grpc(&self, parts: &Parts, about: About<'_>) -> Result<Said, String> {
        let message = self.to.message(parts, about).encode_to_vec();
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).map_err(|_| "the question is too long")?);
        framed.put_slice(&message);
        let uri = format!("{}{PATH}", self.to.remote.origin());
        let request = Request::post(uri).version(Version::HTTP_2).header(CONTENT_TYPE, GRPC);
        let request = request.header(TE, TRAILERS).body(Full::new(framed.freeze()));
        let answer =
            self.ask(request.map_err(|why| why.to_string())?).await.map_err(|why| why.to_string())?;
        self.to.understood(answer)
    }
}

impl External {
    fn message(&self, parts: &Parts, about: About<'_>) -> CheckRequest {
        let address = SocketAddress { address: about.ip.to_string() };
        let source =
            Peer { address: Some(Address { socket: Some(address) }), principal: about.who.to_owned() };
        let fields = self.fields(parts, about);
        let mut headers = std::collections::HashMap::with_capacity(fields.len());
        for name in fields.keys() {
            let texts = fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            headers.insert(name.as_str().to_owned(), texts.collect::<Vec<_>>().join(","));
        }
        let whole =
            about.body.filter(|held| held.whole).and_then(|held| i64::try_from(held.bytes.len()).ok());
        let held = about.body.map(|held| held.bytes.clone()).unwrap_or_default();
        let (body, raw_body) = match self.body.is_some_and(|terms| terms.as_bytes) {
            true => (String::new(), held.to_vec()),
            false => (String::from_utf8_lossy(&held).into_owned(), Vec::new()),
        };
        let http = HttpRequest {
            id: about.id.to_owned(),
            method: parts.method.to_string(),
            headers,
            path: target(parts).to_owned(),
            host: about.host.to_owned(),
            size: whole.unwrap_or(-1),
            protocol: if parts.version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
            body,
            raw_body,
        };
        let context_extensions = [("route".to_owned(), about.route.to_owned())].into();
        let request = Some(Asked { http: Some(http) });
        CheckRequest { attributes: Some(Attributes { source: Some(source), request, context_extensions }) }
    }

    fn understood(&self, answer: Response<Collected<Bytes>>) -> Result<Said, String> {
        let (head, body) = answer.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(format!("it answers {}", head.status));
        }
        let status = |fields: Option<&HeaderMap>| fields.and_then(|fields| fields.get(STATUS).cloned());
        match status(body.trailers()).or_else(|| status(Some(&head.headers))) {
            Some(code) if code == "0" => {}
            other => return Err(format!("its grpc-status is {other:?}")),
        }
        let body = body.to_bytes();
        // One message, not compressed (no compression was offered).
        let message = match body.split_at_checked(5) {
            Some(([0, length @ ..], rest)) if length == (rest.len() as u32).to_be_bytes() => rest,
            _ => return Err("its answer is not one message".to_owned()),
        };
        let answer = CheckResponse::decode(message).map_err(|why| why.to_string())?;
        let status = answer.status.ok_or("its answer has no status")?;
        if status.code != 0 {
            return Ok(Said { denial: Some(self.denied(answer.denied)), ..Said::default() });
        }
        let mut said = Said::default();
        let allowed = answer.allowed.unwrap_or_default();
        for field in allowed.headers.into_iter().filter_map(|option| option.header) {
            let value = if field.raw.is_empty() { field.value.as_bytes() } else { &field.raw };
            self.note(&mut said.fields, field.key.as_bytes(), value);
        }
        said.without = allowed.headers_to_remove.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(said)
    }

    fn denied(&self, denied: Option<Denied>) -> Box<Response<Bytes>> {
        let denied = denied.unwrap_or_default();
        let mut fields = HeaderMap::new();
        for field in denied.headers.into_iter().filter_map(|option| option.header) {
            let value = if field.raw.is_empty() { field.value.as_bytes() } else { &field.raw };
            let read = field.key.parse::<HeaderName>().ok().zip(HeaderValue::from_bytes(value).ok());
            read.into_iter().for_each(|(name, value)| _ = fields.append(name, value));
        }
        let status = denied.status.and_then(|status| u16::try_from(status.code).ok()).unwrap_or(403);
        self.denial(status, &fields, denied.body.into())
    }
}
