//! Who may write: whoever shows the API's token, known to the audit log as the person `operator`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::problem::Refusal;
use super::server::Api;
use crate::domain::{Actor, ActorKind};

/// The name of whoever holds the API's token.
const OPERATOR: &str = "operator";

/// An authenticated writer. A handler that takes one cannot be reached without the token.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Actor);

impl FromRequestParts<Api> for Writer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let shown = parts.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        if api.token.is_shown_by(shown) {
            Ok(Self(Actor { kind: ActorKind::Person, id: OPERATOR.to_owned() }))
        } else {
            Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "writes need the API's token: Authorization: Bearer TOKEN (api.token in the data directory)",
            ))
        }
    }
}
