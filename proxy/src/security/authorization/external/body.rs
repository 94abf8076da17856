//! The beginning of a request's body, for an authorizer that wants to see it: `with_request_body` of Envoy's ext_authz.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body::Body;

use crate::error::Refusal;
use crate::upstream::intake::UploadError;
use crate::upstream::upload::Upload;

/// Says whether there is more of the body than the authorizer gets.
pub const PARTIAL: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct BodyTerms {
    /// Bytes at most.
    pub most: usize,
    /// Whether of a longer one the beginning will do; else it is refused.
    pub partial: bool,
    /// Over gRPC: as it is, and not as text.
    pub as_bytes: bool,
}

/// What is there of it.
#[derive(Debug)]
pub struct Held {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether that is all.
    pub whole: bool,
}

impl Held {
    pub(super) fn is_partial(&self) -> HeaderValue {
        HeaderValue::from_static(if self.whole { "false" } else { "true" })
    }
}

impl BodyTerms {
    /// Waits for as much of `upload` as is wanted, which is handed on to the endpoint all the same.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`]: there is more of it; or it does not come.
    pub async fn hold(self, upload: &mut Upload) -> Result<Held, Refusal> {
        let declared = upload.size_hint().lower() > self.most as u64;
        if declared && !self.partial {
            return Err(Refusal::BodyTooLarge);
        }
        // One byte more tells a body that is just as long from one that goes on.
        let ended = upload.read_ahead(self.most + usize::from(!self.partial)).await.map_err(why)?;
        let bytes = upload.ahead(self.most);
        let whole = ended && upload.size_hint().lower() <= self.most as u64;
        if whole || self.partial { Ok(Held { bytes, whole }) } else { Err(Refusal::BodyTooLarge) }
    }
}

fn why(error: UploadError) -> Refusal {
    match error {
        UploadError::Refused(refusal) => refusal,
        UploadError::Client(_) | UploadError::Superseded => Refusal::UploadBroken,
    }
}
