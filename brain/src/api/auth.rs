//! Who may write: whoever shows a token that is known, under the name that goes with it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::problem::Refusal;
use super::server::Api;
use crate::domain::Actor;
use crate::token::Token;

/// The tokens, and who shows them. Neither printed nor logged.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<(Token, Actor)>);

impl Keyring {
    /// These tokens and no others.
    #[must_use]
    pub fn new(keys: Vec<(Token, Actor)>) -> Self {
        Self(keys)
    }

    /// Who shows this header. Every token is compared, so that the time does not tell which is nearly right.
    fn who(&self, header: Option<&[u8]>) -> Option<&Actor> {
        let mut who = None;
        for (token, actor) in &self.0 {
            if token.is_shown_by(header) {
                who = Some(actor);
            }
        }
        who
    }
}

/// An authenticated writer. A handler that takes one cannot be reached without a token.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Actor);

impl FromRequestParts<Api> for Writer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let shown = parts.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        api.keyring.who(shown).cloned().map(Self).ok_or_else(|| {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "writes need the API's token: Authorization: Bearer TOKEN (api.token in the data directory)",
            )
        })
    }
}
