//! SHA-256 over canonical JSON (RFC 8785): the same decisions, the same hash.

use protocol::canonical;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The hash of `what`, hex.
#[must_use]
pub fn of(what: &impl Serialize) -> String {
    // Only our own types come here: maps with text keys, so that turning them into a value cannot fail.
    let value = serde_json::to_value(what).unwrap_or(Value::Null);
    hex::encode(Sha256::digest(canonical::to_string(&value).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_value_does() {
        assert_eq!(
            of(&json!({"a": 1, "b": [2, {"d": 4, "c": 3}]})),
            of(&json!({"b": [2, {"c": 3, "d": 4}], "a": 1}))
        );
        assert_ne!(of(&json!({"a": [1, 2]})), of(&json!({"a": [2, 1]})));
        assert_ne!(of(&json!({"a": null})), of(&json!({})));
    }
}
