//! How a gRPC call ended, and what that is in HTTP's words.
//!
//! Google's `google.rpc.Code` says which HTTP status stands for which code; Envoy judges endpoints by that
//! table too. Two codes are read otherwise. `UNIMPLEMENTED` stands for 404, because it says that the caller
//! asks for what is not there, and what callers do wrong is not held against endpoints; so the failures are
//! those that Linkerd knows: `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`. And a
//! deadline proves nothing about an endpoint that was given next to no time: see [`Code::status_after`].

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

/// How a call ended.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Names of all codes, each in its place.
pub const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How a call ended: a place in [`CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u8);

impl Code {
    /// What callers make of an end without a status, and of a status that is none.
    pub const UNKNOWN: Self = Self(2);
    const DEADLINE_EXCEEDED: Self = Self(4);

    /// The code that a head or trailers say, if they say any.
    #[must_use]
    pub fn said_in(fields: &HeaderMap) -> Option<Self> {
        let text = fields.get(GRPC_STATUS)?.to_str().unwrap_or_default();
        let known = text.parse::<u8>().ok().filter(|code| usize::from(*code) < CODES.len());
        Some(known.map_or(Self::UNKNOWN, Self))
    }

    /// Its place in [`CODES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The HTTP status that stands for it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self.0 {
            0 => 200,
            1 => 499,
            3 | 9 | 11 => 400,
            4 => 504,
            5 | 12 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            14 => 503,
            16 => 401,
            _ => 500,
        }
    }

    /// The same for an endpoint that was given so long: who is given less than `enough` for a deadline does
    /// not fail by missing it, or any caller could have any endpoint put out of service.
    #[must_use]
    pub fn status_after(self, took: Duration, enough: Duration) -> u16 {
        if self == Self::DEADLINE_EXCEEDED && took < enough { 499 } else { self.status() }
    }

    /// What a caller is told that is refused with an HTTP status: gRPC's own mapping
    /// (`http-grpc-status-mapping.md`), but for those that have a code of their own.
    #[must_use]
    pub fn of_refusal(status: StatusCode) -> Self {
        Self(match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 | 501 => 12,
            413 | 429 | 431 => 8,
            408 | 504 => 4,
            502 | 503 => 14,
            _ => 2,
        })
    }
}

/// A refusal as gRPC's callers understand it: 200, and all in the head ("Trailers-Only").
#[must_use]
pub fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(Code::of_refusal(status).0)));
    // The message is percent-encoded; ours are sentences without a percent sign.
    HeaderValue::from_str(message).into_iter().for_each(|message| _ = headers.insert(GRPC_MESSAGE, message));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &'static str) -> Option<Code> {
        Code::said_in(&HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(text))]))
    }

    #[test]
    fn a_status_is_one_of_seventeen_or_unknown() {
        assert_eq!(said("14").map(Code::index), Some(14));
        for wrong in ["17", "-1", "256", "x", ""] {
            assert_eq!(said(wrong), Some(Code::UNKNOWN), "{wrong}");
        }
        assert_eq!(Code::said_in(&HeaderMap::new()), None);
    }

    #[test]
    fn faults_of_servers_are_failures_and_those_of_callers_are_not() {
        let failing = (0..17).filter(|code| Code(*code).status() >= 500).map(|code| CODES[usize::from(code)]);
        let expected = ["UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
        assert_eq!(failing.collect::<Vec<_>>(), expected);
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(1));
        assert_eq!(Code(4).status_after(short, long), 499, "nobody could have made it");
        assert_eq!((Code(4).status_after(long, long), Code(14).status_after(short, long)), (504, 503));
    }

    #[test]
    fn a_refusal_is_a_call_that_ended() {
        let response = refusal(StatusCode::SERVICE_UNAVAILABLE, "no endpoint is available");
        assert_eq!(
            (response.status(), &response.headers()[GRPC_STATUS]),
            (StatusCode::OK, &HeaderValue::from(14))
        );
        assert_eq!(response.headers()[GRPC_MESSAGE], "no endpoint is available");
        let code = |status| StatusCode::from_u16(status).map(Code::of_refusal).map(Code::index);
        assert_eq!([403, 404, 429, 504, 418].map(|status| code(status).ok()), [7, 12, 8, 4, 2].map(Some));
    }
}
