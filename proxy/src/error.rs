//! Answers of the proxy's own: whose fault it was, and which response says so.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::middleware::framing::Fault;
use crate::middleware::grpc_status;
use crate::telemetry::Outcome;
use crate::telemetry::clients::ClientOutcome;
use crate::upstream::gate::Full;

/// Marks a response that a fault was injected into, or instead of which one was.
pub const X_LIGHTSOUT_FAULT: HeaderName = HeaderName::from_static("x-lightsout-fault");

/// Why a request got no response of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client's: the request is malformed. Its connection is closed.
    #[error("malformed request: {0}")]
    BadRequest(&'static str),
    /// The client's: the framing is ambiguous. Its connection is closed.
    #[error("malformed request: {0}")]
    Framing(Fault),
    /// The client's: its body broke off, or is no body. Its connection is closed.
    #[error("malformed request: the body broke off")]
    UploadBroken,
    /// The client's: the time was over while the endpoint waited for the body. Its connection is closed.
    #[error("the request's body did not come in time")]
    UploadSlow,
    /// The client's: its body is larger than the configured bound. Its connection is closed.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The client's: its target is longer than the configured bound.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// The client's: its head has more fields than the configured bound.
    #[error("too many header fields")]
    TooManyFields,
    /// The client's: a method that is not served here.
    #[error("this method is not served here")]
    Method,
    /// Policy: the client wants to be connected to where it may not.
    #[error("this is not to be connected to")]
    ConnectTarget,
    /// Policy: the client is blocked by a lease.
    #[error("this client is blocked")]
    Blocked,
    /// The client's: no route takes it.
    #[error("no route takes this request")]
    NoRoute,
    /// The configuration's: the route's split is all zeros.
    #[error("this route leads nowhere at the moment")]
    NothingToServe,
    /// Policy: load is shed by a lease. Worth trying again.
    #[error("too much load")]
    Shed,
    /// Policy: nobody knows who asks. How to be known, other fields say.
    #[error("who asks is not known")]
    Unauthenticated,
    /// Policy: who asks cannot be found out at the moment. Worth trying again.
    #[error("who asks cannot be found out at the moment")]
    CannotAuthenticate,
    /// Policy: who asks may not do this.
    #[error("this is not allowed")]
    Denied,
    /// Policy: the client asks too often. When to come back, other fields say.
    #[error("too many requests")]
    RateLimited,
    /// The service has as many requests as it may. Worth trying again.
    #[error("too much load")]
    Full(Full),
    /// This process's: it runs out of memory or descriptors. Worth trying again, elsewhere.
    #[error("too much load")]
    Overload,
    /// The endpoints': none may be asked now. Worth trying again.
    #[error("no endpoint is available")]
    NoEndpoint,
    /// The endpoint's: it takes no connection.
    #[error("the endpoint cannot be reached")]
    ConnectFailure,
    /// The endpoint's: the connection broke before a response.
    #[error("the endpoint broke the connection")]
    Reset,
    /// The endpoint's: no response in time.
    #[error("the endpoint did not answer in time")]
    Timeout,
    /// Nobody's: a fault injected on purpose, with this status.
    #[error("a fault injected on purpose")]
    Injected(StatusCode),
    /// Nobody's: a fault injected on purpose; the client is not answered.
    #[error("broken off on purpose")]
    InjectedReset,
}

impl Refusal {
    /// The response's status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Framing(Fault::HeadTooLarge | Fault::TooManyFields) | Self::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Framing(Fault::TargetTooLong) | Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_) | Self::Framing(_) | Self::UploadBroken => StatusCode::BAD_REQUEST,
            Self::UploadSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::NOT_IMPLEMENTED,
            Self::Blocked | Self::Denied | Self::ConnectTarget => StatusCode::FORBIDDEN,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::CannotAuthenticate => StatusCode::SERVICE_UNAVAILABLE,
            Self::NothingToServe | Self::Shed | Self::Full(_) | Self::Overload | Self::NoEndpoint => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ConnectFailure | Self::Reset => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Injected(status) => status,
            Self::InjectedReset => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether nothing more may, or should, be read from this client's connection.
    #[must_use]
    pub fn closes_connection(self) -> bool {
        use Refusal::{
            BadRequest, BodyTooLarge, Framing, Method, Overload, TargetTooLong, TooManyFields, UploadBroken,
            UploadSlow,
        };
        matches!(self, BadRequest(_) | Framing(_) | UploadBroken | UploadSlow | Method)
            || matches!(self, BodyTooLarge | TargetTooLong | TooManyFields | Overload)
    }

    /// One word for it: a label of metrics, a field of the access log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Framing(_) => "framing",
            Self::UploadBroken => "upload_broken",
            Self::UploadSlow => "upload_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::TooManyFields => "too_many_fields",
            Self::Method => "method",
            Self::Blocked => "blocked",
            Self::ConnectTarget => "connect_target",
            Self::NoRoute => "no_route",
            Self::NothingToServe => "nothing_to_serve",
            Self::Shed => "shed",
            Self::RateLimited => "rate_limited",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::CannotAuthenticate => "cannot_authenticate",
            Self::Full(Full::Overload) => "limit_adaptive",
            Self::Full(Full::Requests) => "limit_requests",
            Self::Full(Full::Pending) => "limit_pending",
            Self::Full(Full::Connections) => "limit_connections",
            Self::Overload => "proxy_overload",
            Self::NoEndpoint => "no_endpoint",
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Injected(_) => "fault_abort",
            Self::InjectedReset => "fault_reset",
        }
    }

    /// The endpoint's outcome, where an endpoint had been chosen.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::ConnectFailure => Some(Outcome::ConnectFailure),
            Self::Reset => Some(Outcome::Reset),
            Self::Timeout => Some(Outcome::Timeout),
            _ => None,
        }
    }

    /// How it counts for the client.
    #[must_use]
    pub fn for_client(self) -> ClientOutcome {
        match self {
            Self::Blocked
            | Self::Denied
            | Self::Unauthenticated
            | Self::RateLimited
            | Self::Shed
            | Self::Full(_)
            | Self::Overload => ClientOutcome::Denied,
            // What is done on purpose says nothing about the client.
            Self::Injected(_) | Self::InjectedReset => ClientOutcome::Fine,
            _ if self.status().is_client_error() => ClientOutcome::Refused4xx,
            _ => ClientOutcome::Failed,
        }
    }

    /// The same for who calls by gRPC.
    #[must_use]
    pub fn to_call(self) -> Response<Bytes> {
        grpc_status::refusal(self.status(), &self.to_string())
    }

    /// The response: a status and one sentence, nothing of the inside.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        let status = self.status();
        let text = format!("{{\"status\":{},\"title\":\"{self}\"}}\n", status.as_u16());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol::action::PROBLEM_JSON));
        if matches!(self, Self::Shed | Self::Full(_) | Self::Overload | Self::NoEndpoint) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, Self::Injected(_)) {
            headers.insert(X_LIGHTSOUT_FAULT, HeaderValue::from_static("abort"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whose_fault_it_was_in_json_and_when_to_come_back() {
        let response = Refusal::Shed.response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (503, &"1".parse().unwrap_or(HeaderValue::from_static("")))
        );
        for refusal in [Refusal::BadRequest("x"), Refusal::Framing(Fault::Chunk), Refusal::Timeout] {
            let read: Result<serde_json::Value, _> = serde_json::from_slice(refusal.response().body());
            assert_eq!(read.ok().and_then(|v| v["status"].as_u64()), Some(refusal.status().as_u16().into()));
        }
        assert_eq!(Refusal::Blocked.for_client(), ClientOutcome::Denied);
        assert_eq!(Refusal::Timeout.for_client(), ClientOutcome::Failed);
    }
}
