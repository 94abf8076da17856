//! A gRPC call: its response's head is not yet its outcome.

use std::time::Duration;

use http::{Response, StatusCode, Version};

use crate::middleware::grpc;
use crate::middleware::grpc_status::Code;

/// See the module.
#[derive(Debug)]
pub(super) struct Call {
    /// How long it took to the response's head.
    pub(super) took: Duration,
    /// How it ended, where an endpoint has said so.
    pub(super) code: Option<Code>,
}

impl Call {
    /// The call that is answered with `response`, if it is one: gRPC is spoken over HTTP/2 alone, and always
    /// with 200. A call that is over with its head has its code there.
    pub(super) fn begin<B>(response: &Response<B>, took: Duration) -> Option<Self> {
        let is_one = response.version() == Version::HTTP_2
            && response.status() == StatusCode::OK
            && grpc::is_grpc(response.headers());
        is_one.then(|| Self { took, code: Code::said_in(response.headers()) })
    }
}
