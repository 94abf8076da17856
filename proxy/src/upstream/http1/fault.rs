//! What may be wrong with what an endpoint says, or with the connection to it.

use std::io;

use super::super::intake::UploadError;

/// Why an exchange ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// It was closed in the middle of a message.
    #[error("the endpoint has closed the connection in the middle of a message")]
    Cut,
    /// What came is no response.
    #[error("the endpoint's response is malformed: {0}")]
    Head(#[from] httparse::Error),
    /// A field says what no field may say.
    #[error("the endpoint's response is malformed: {0}")]
    Field(&'static str),
    /// A head, a trailer section or a chunk's size is longer than anyone needs.
    #[error("the endpoint's {0} is too long")]
    TooLong(&'static str),
    /// What should be a chunk is none.
    #[error("the endpoint's chunked body is malformed: {0}")]
    Chunk(&'static str),
    /// The request's body broke off.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The request's body is not as long as its head says.
    #[error("the request's body is not as long as it should be")]
    UploadLength,
}
