//! SHA-256 over canonical JSON (keys sorted, no white space): the same decisions, the same hash.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The hash of `what`, hex. Keys are sorted here and not left to the map type in use, because a
/// dependency's feature may switch that to insertion order.
#[must_use]
pub fn of(what: &impl Serialize) -> String {
    // Only our own types come here: maps with text keys, so that turning them into a value cannot fail.
    let value = serde_json::to_value(what).unwrap_or(Value::Null);
    let mut text = String::new();
    write(&value, &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                let comma = if n > 0 { "," } else { "" };
                // Writing to a String cannot fail.
                let _ = write!(out, "{comma}{}:", Value::from(key.as_str()));
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
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
