//! Whether what came of an attempt is tried again.

use http::{HeaderMap, Method, StatusCode};

use super::attempts::Tried;
use crate::error::Refusal;
use crate::middleware::grpc_status::GRPC_STATUS;
use crate::settings::{Retry, RetryOn};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It is the answer.
    No,
    /// It would be tried again, but an endpoint may have acted on it, and twice is not the same as once.
    NotThisMethod,
    /// It is tried again.
    Yes,
}

/// What holds for what came of an attempt.
pub(super) fn verdict(tried: &Tried, method: &Method, retry: &Retry) -> Again {
    match tried {
        Ok(response) => of_response(response.status(), response.headers(), method, retry),
        Err(failed) => of_failure(failed.refusal, failed.unprocessed, method, retry),
    }
}

fn of_failure(refusal: Refusal, unprocessed: bool, method: &Method, retry: &Retry) -> Again {
    let wanted = |condition| retry.on.contains(&condition);
    let is_wanted = match refusal {
        Refusal::ConnectFailure => wanted(RetryOn::ConnectFailure),
        Refusal::Reset => wanted(RetryOn::Reset) || (unprocessed && wanted(RetryOn::ConnectFailure)),
        Refusal::Timeout => wanted(RetryOn::Timeout),
        _ => false,
    };
    match is_wanted {
        false => Again::No,
        true if unprocessed => Again::Yes,
        true => if_idempotent(method, retry),
    }
}

fn of_response(status: StatusCode, headers: &HeaderMap, method: &Method, retry: &Retry) -> Again {
    // Who asks for a gRPC status to be tried again says with it that calls may be: all of them are POST.
    if status == StatusCode::OK {
        let condition = grpc_condition(headers).filter(|condition| retry.on.contains(condition));
        return if condition.is_some() { Again::Yes } else { Again::No };
    }
    let condition = match status.as_u16() {
        409 => retry.on.contains(&RetryOn::Retriable4xx),
        502..=504 => retry.on.contains(&RetryOn::GatewayError) || retry.on.contains(&RetryOn::Any5xx),
        500.. => retry.on.contains(&RetryOn::Any5xx),
        _ => false,
    };
    if condition || retry.statuses.contains(&status) { if_idempotent(method, retry) } else { Again::No }
}

/// Of a response that is nothing but its status: after a message the call has been carried out in part.
fn grpc_condition(headers: &HeaderMap) -> Option<RetryOn> {
    // From gRPC's `codes.proto`.
    match headers.get(GRPC_STATUS)?.as_bytes() {
        b"1" => Some(RetryOn::GrpcCancelled),
        b"4" => Some(RetryOn::GrpcDeadlineExceeded),
        b"8" => Some(RetryOn::GrpcResourceExhausted),
        b"13" => Some(RetryOn::GrpcInternal),
        b"14" => Some(RetryOn::GrpcUnavailable),
        _ => None,
    }
}

fn if_idempotent(method: &Method, retry: &Retry) -> Again {
    if retry.methods.contains(method) { Again::Yes } else { Again::NotThisMethod }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn retry(on: &[RetryOn]) -> Retry {
        Retry { on: on.to_vec(), statuses: vec![StatusCode::TOO_EARLY], ..Retry::by_default() }
    }

    #[test]
    fn what_may_have_been_carried_out_is_only_repeated_where_that_does_no_harm() {
        let all = retry(&[RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::Timeout]);
        let of = |refusal, unprocessed, method| of_failure(refusal, unprocessed, &method, &all);
        assert_eq!(of(Refusal::Reset, false, Method::GET), Again::Yes);
        assert_eq!(of(Refusal::Reset, false, Method::POST), Again::NotThisMethod);
        assert_eq!(of(Refusal::Reset, true, Method::POST), Again::Yes);
        assert_eq!(of(Refusal::ConnectFailure, true, Method::PATCH), Again::Yes);
        assert_eq!(of(Refusal::UploadSlow, false, Method::GET), Again::No);
        assert_eq!(of_failure(Refusal::Timeout, false, &Method::GET, &retry(&[])), Again::No);
    }

    #[test]
    fn a_status_is_tried_again_by_its_class_its_number_or_not() {
        let of = |status: StatusCode, on: &[RetryOn], method| {
            of_response(status, &HeaderMap::new(), &method, &retry(on))
        };
        assert_eq!(of(StatusCode::BAD_GATEWAY, &[RetryOn::GatewayError], Method::GET), Again::Yes);
        assert_eq!(of(StatusCode::INTERNAL_SERVER_ERROR, &[RetryOn::GatewayError], Method::GET), Again::No);
        assert_eq!(of(StatusCode::INTERNAL_SERVER_ERROR, &[RetryOn::Any5xx], Method::GET), Again::Yes);
        assert_eq!(
            of(StatusCode::SERVICE_UNAVAILABLE, &[RetryOn::Any5xx], Method::POST),
            Again::NotThisMethod
        );
        assert_eq!(of(StatusCode::CONFLICT, &[RetryOn::Retriable4xx], Method::PUT), Again::Yes);
        assert_eq!(of(StatusCode::TOO_EARLY, &[], Method::GET), Again::Yes);
        assert_eq!(of(StatusCode::NOT_FOUND, &[RetryOn::Any5xx], Method::GET), Again::No);
    }

    #[test]
    fn a_grpc_call_is_tried_again_by_the_status_of_a_response_without_messages() {
        let saying = |code| HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(code))]);
        let of = |code, on: &[RetryOn]| of_response(StatusCode::OK, &saying(code), &Method::POST, &retry(on));
        assert_eq!(of("14", &[RetryOn::GrpcUnavailable]), Again::Yes);
        assert_eq!(of("14", &[RetryOn::GrpcInternal]), Again::No);
        assert_eq!(of("0", &[RetryOn::GrpcUnavailable]), Again::No);
    }
}
