//! Names that cross the wire, bounded and printable, so that nothing downstream has to wonder.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No characters at all.
    #[error("a name may not be empty")]
    Empty,
    /// Longer than the bound.
    #[error("a name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A character outside `A-Z a-z 0-9 . _ : - / [ ]`.
    #[error("a name may not contain {0:?}")]
    Character(char),
}

/// The longest name that is taken: a DNS name's 253 bytes.
pub const MAX_NAME_BYTES: usize = 253;

/// Whether `name` is fit to be a label, a key and a line in a log: non-empty, at most
/// [`MAX_NAME_BYTES`], and of characters that no terminal, shell or page would interpret.
pub fn check_name(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(BadName::TooLong(name.len()));
    }
    // By bytes: this is asked of five names of every cell, and no part of another character is one of these.
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-' | b'/' | b'[' | b']');
    if name.bytes().all(allowed) {
        return Ok(());
    }
    match name.chars().find(|c| !c.is_ascii() || !allowed(*c as u8)) {
        Some(c) => Err(BadName::Character(c)),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name, if it is one.
            ///
            /// # Errors
            /// [`BadName`] says what is wrong with it.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                check_name(&name)?;
                Ok(Self(name))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// An upstream service, as the proxies' configuration calls it.
    ServiceName
);
name_type!(
    /// One endpoint of a service: `ADDRESS:PORT`.
    EndpointId
);
name_type!(
    /// One proxy of the fleet.
    ProxyId
);
name_type!(
    /// One action, and with it the lease that it is on a proxy.
    ActionId
);

/// The order of brains: of two that hold the same mesh, the one with the higher epoch is obeyed.
/// `0` means that no brain has ever spoken.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The highest that is taken: beyond it JSON readers and the audit's canonical form lose digits, and a
    /// brain that comes later could not go higher.
    pub const MAX: Self = Self((1 << 53) - 1);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_terminal_or_a_page_would_interpret_is_refused() {
        for bad in ["", "a b", "x\u{1b}[2J", "<script>", "'; DROP TABLE audit; --", "a\n"] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(ServiceName::new("a".repeat(MAX_NAME_BYTES + 1)).is_err());
    }

    #[test]
    fn addresses_of_both_families_are_names() {
        for good in ["10.0.0.1:8080", "[::1]:80", "cart.shop.svc:9000"] {
            assert_eq!(EndpointId::new(good).map(|e| e.to_string()), Ok(good.to_owned()));
        }
    }
}
