//! The one hash by which keys and endpoints are placed: XXH3, without a secret, so that every worker,
//! every restart and every proxy of a mesh places them alike.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The hash of a request's key.
#[must_use]
pub fn key_of(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// The `n`th hash of an endpoint's name.
pub(super) fn of_endpoint(name: &str, n: u64) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), n)
}

/// Another hash of the same key, for a next try.
pub(super) fn again(key: u64, n: u64) -> u64 {
    xxh3_64_with_seed(&key.to_le_bytes(), n)
}
