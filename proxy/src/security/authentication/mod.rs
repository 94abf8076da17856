//! Who asks: tokens, keys, certificates, and what an endpoint is told of them.
//!
//! A route names the providers of which one must know the request. Each looks for its own kind of credential
//! where it was told to; the first that takes one says who asks. A credential that nobody takes is a refusal,
//! also where another provider would have been content without: a client that shows a bad token is told so.

mod algorithm;
mod api_keys;
mod challenge;
mod introspection;
mod jwks;
mod key_store;
mod presented;
mod principal;
mod roca;
mod standings;
mod strict_json;
mod token;

use std::sync::Arc;

use http::request::Parts;

pub use algorithm::Algorithm;
pub use api_keys::{ApiKeys, MAX_KEYS, MAX_KEYS_BYTES, hash as key_hash, parse as parse_keys};
pub use challenge::challenge;
pub use introspection::{Introspector, Terms as IntrospectionTerms, credentials};
pub use jwks::{KeySet, MAX_JWKS_BYTES};
pub use key_store::{KeyStore, KeyStores, KeyUrl, run as keep_keys};
pub use principal::Principal;
pub use token::{Rules, Unverified};

use jwks::NoKey;
use presented::{presented, withhold};

use crate::identity::PeerIdentity;
use crate::settings::{Provider, ProviderKind, Security, TokenKeys};

/// Why nobody is known.
#[derive(Debug, Clone)]
pub enum Failure {
    /// No credential was shown.
    Missing,
    /// One was shown, and is none.
    Invalid,
    /// It cannot be judged by the keys that there are; these may have others.
    Stale(Arc<KeyStore>),
    /// This one must be asked about this token, of which it has not said anything yet.
    Unasked(Arc<Introspector>, String),
}

impl Failure {
    /// Whether it says nothing of the credential, but that nobody could judge it.
    #[must_use]
    pub fn may_pass(&self, providers: &[Arc<Known>]) -> bool {
        match self {
            Self::Unasked(..) => true,
            Self::Stale(_) => providers.iter().any(|known| known.is_blind()),
            Self::Missing | Self::Invalid => false,
        }
    }

    /// Which of two counts: what can still be mended before what cannot, then what was shown before what was not.
    fn weight(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Invalid => 1,
            Self::Stale(_) => 2,
            Self::Unasked(..) => 3,
        }
    }
}

/// A provider in force.
#[derive(Debug)]
pub struct Known {
    /// What it says.
    pub settings: Arc<Provider>,
    /// With what its tokens are verified.
    keys: Option<Arc<KeyStore>>,
}

/// Who may be asked for; shared by all workers.
#[derive(Debug)]
pub struct Authenticator {
    providers: Vec<Arc<Known>>,
    /// For routes that do not say.
    required: Vec<String>,
}

impl Authenticator {
    /// What `security` asks for; absent: nobody is asked who they are.
    #[must_use]
    pub fn new(security: &Security, stores: &KeyStores) -> Option<Arc<Self>> {
        let settings = security.authentication.as_ref()?;
        let url = |provider: &Arc<Provider>| match &provider.kind {
            ProviderKind::Jwt(jwt) => match &jwt.keys {
                TokenKeys::Url(url) => Some(url.clone()),
                TokenKeys::Fixed(_) => None,
            },
            _ => None,
        };
        let urls: Vec<KeyUrl> = settings.providers.iter().filter_map(url).collect();
        let mut stores = stores.of(&urls.iter().collect::<Vec<_>>()).into_iter();
        let known = |provider: &Arc<Provider>| {
            let keys = match &provider.kind {
                ProviderKind::Jwt(jwt) => match &jwt.keys {
                    TokenKeys::Url(_) => stores.next(),
                    TokenKeys::Fixed(keys) => Some(Arc::new(KeyStore::fixed(Arc::clone(keys)))),
                },
                _ => None,
            };
            Arc::new(Known { settings: Arc::clone(provider), keys })
        };
        let providers = settings.providers.iter().map(known).collect();
        Some(Arc::new(Self { providers, required: settings.required.clone() }))
    }

    /// The providers of a route, by the names that it gives; `None`: nobody is asked.
    #[must_use]
    pub fn of_route(&self, names: Option<&[String]>) -> Option<Vec<Arc<Known>>> {
        let names = names.unwrap_or(&self.required);
        let named = |known: &&Arc<Known>| names.contains(&known.settings.name);
        let all: Vec<_> = self.providers.iter().filter(named).cloned().collect();
        (!all.is_empty()).then_some(all)
    }

    /// The stores of all providers.
    #[must_use]
    pub fn stores(&self) -> Vec<Arc<KeyStore>> {
        self.providers.iter().filter_map(|known| known.keys.clone()).collect()
    }
}

/// Who asks, by one of `providers`, at `now`, seconds of Unix time. The credential that says so is taken away
/// where it is not to go on.
///
/// # Errors
/// [`Failure`].
pub fn authenticate(providers: &[Arc<Known>], request: &mut Parts, now: u64) -> Result<Principal, Failure> {
    let mut worst = Failure::Missing;
    for known in providers {
        match known.ask(request, now) {
            Ok(principal) => {
                withhold(&known.settings, request);
                return Ok(principal);
            }
            Err(failure) if failure.weight() <= worst.weight() => {}
            Err(failure) => worst = failure,
        }
    }
    Err(worst)
}

impl Known {
    fn ask(&self, request: &Parts, now: u64) -> Result<Principal, Failure> {
        if let ProviderKind::Certificate(allowed) = &self.settings.kind {
            let peer = request.extensions.get::<Arc<PeerIdentity>>().ok_or(Failure::Missing)?;
            let means = allowed.is_empty() || allowed.iter().any(|entry| entry.means(&peer.id));
            let known = || Principal::named(&self.settings, peer.id.to_string());
            return if means { Ok(known()) } else { Err(Failure::Invalid) };
        }
        let shown = presented(&self.settings, &request.headers)?;
        match &self.settings.kind {
            ProviderKind::Certificate(_) => Err(Failure::Missing),
            ProviderKind::Introspection(asked) => {
                let token = std::str::from_utf8(shown).ok().filter(|token| asked.server.could_be(token));
                let token = token.ok_or(Failure::Invalid)?;
                let unasked = || Failure::Unasked(Arc::clone(&asked.server), token.to_owned());
                let said = asked.server.standing(token, now).ok_or_else(unasked)?.ok_or(Failure::Invalid)?;
                Principal::of_claims(&self.settings, &asked.principal_claim, said).ok_or(Failure::Invalid)
            }
            ProviderKind::ApiKeys(keys) => {
                let owner = keys.keys.owner(shown).ok_or(Failure::Invalid)?;
                Ok(Principal::named(&self.settings, owner.to_owned()))
            }
            ProviderKind::Jwt(jwt) => {
                let token = std::str::from_utf8(shown).map_err(|_| Failure::Invalid)?;
                let token = Unverified::parse(token, &jwt.rules).ok_or(Failure::Invalid)?;
                let store = self.keys.as_ref().ok_or(Failure::Invalid)?;
                let stale = || Failure::Stale(Arc::clone(store));
                let claims = match token.verified(&*store.keys().ok_or_else(stale)?) {
                    Ok(claims) => claims.filter(|claims| jwt.rules.take(claims, now)),
                    Err(NoKey::Unknown) => return Err(stale()),
                    Err(NoKey::WrongSignature) => None,
                };
                claims
                    .and_then(|claims| {
                        Principal::of_claims(&self.settings, &jwt.principal_claim, Arc::new(claims))
                    })
                    .ok_or(Failure::Invalid)
            }
        }
    }

    /// Whether it has no keys yet, and can judge nothing.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.keys.as_ref().is_some_and(|store| store.keys().is_none())
    }
}
