//! `X-Request-ID`: kept where the client sent a sane one, else made.

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest that is kept.
const MAX_BYTES: usize = 128;

/// Makes ids: unique, not secret.
#[derive(Debug)]
pub struct RequestIds {
    seed: u64,
    made: Cell<u64>,
}

impl Default for RequestIds {
    fn default() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids are unique within this process only.
        let _ = getrandom::fill(&mut seed);
        Self { seed: u64::from_ne_bytes(seed), made: Cell::new(0) }
    }
}

impl RequestIds {
    /// The client's own id, if it is bounded and of visible ASCII only; else a new one.
    pub fn keep_or_make(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(id) if is_sane(id) => id.clone(),
            _ => self.make(),
        }
    }

    /// A new id: 32 hexadecimal digits.
    pub fn make(&self) -> HeaderValue {
        let made = self.made.get();
        self.made.set(made.wrapping_add(1));
        let mut digits = [0; 32];
        let bytes = (u128::from(self.seed) << 64 | u128::from(scrambled(self.seed ^ made))).to_be_bytes();
        // 16 bytes make exactly 32 digits.
        let _ = hex::encode_to_slice(bytes, &mut digits);
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("none"))
    }
}

fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// A bijection (the finaliser of `SplitMix64`), so that what differs stays different.
fn scrambled(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn made_ids_differ() {
        let ids = RequestIds::default();
        let made: HashSet<_> = (0..10_000).map(|_| ids.make()).collect();
        assert_eq!(made.len(), 10_000);
    }

    #[test]
    fn only_a_sane_id_of_the_client_is_kept() {
        let ids = RequestIds::default();
        let with = |id: &str| {
            let value = HeaderValue::from_bytes(id.as_bytes()).ok();
            value.into_iter().map(|value| (X_REQUEST_ID, value)).collect::<HeaderMap>()
        };
        assert_eq!(ids.keep_or_make(&with("abc-1")), "abc-1");
        for odd in ["", "a b", "caf\u{e9}", &"x".repeat(129)] {
            assert_eq!(ids.keep_or_make(&with(odd)).len(), 32, "{odd}");
        }
    }
}
