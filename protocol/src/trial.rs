//! How requests reach a version on trial other than by its share: by asking for it, or as copies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest [`Preview::value`], bytes.
pub const MAX_PREVIEW_VALUE: usize = 256;

/// Requests that ask for the canary get it, whatever its share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Where a request says so: `header:NAME` or `cookie:NAME`.
    pub key: String,
    /// What it says there, to the letter.
    pub value: String,
}

impl Preview {
    /// What cannot be meant, as far as words can tell.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        let name = self.key.strip_prefix("header:").or_else(|| self.key.strip_prefix("cookie:"));
        let is_token = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        if !name.is_some_and(is_token) {
            return Some(format!("{:?} is neither header:NAME nor cookie:NAME", self.key));
        }
        let fine = (1..=MAX_PREVIEW_VALUE).contains(&self.value.len())
            && self.value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        (!fine).then(|| format!("the value has 1 to {MAX_PREVIEW_VALUE} printable ASCII characters"))
    }
}

/// Copies of the service's requests go to the canary; nobody waits for what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Share of the requests that are copied, 1 to 100.
    pub percent: u32,
    /// Copies requests that may change something, too: what they do is then done twice. Without it only GET,
    /// HEAD and OPTIONS are copied.
    #[serde(default)]
    pub all_methods: bool,
}

impl Copies {
    /// What cannot be meant.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        (!(1..=100).contains(&self.percent))
            .then(|| format!("{} is not between 1 and 100 percent", self.percent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_names_a_header_or_a_cookie_and_a_value() {
        let preview = |key: &str, value: &str| Preview { key: key.into(), value: value.into() }.mistake();
        assert_eq!((preview("header:x-preview", "yes"), preview("cookie:preview", "v2")), (None, None));
        for (key, value) in
            [("x-preview", "yes"), ("header:", "yes"), ("header:a b", "yes"), ("query:a", "b")]
        {
            assert!(preview(key, value).is_some(), "{key}");
        }
        assert!(preview("header:x", "").is_some() && preview("header:x", "a\r\nb").is_some());
    }
}
