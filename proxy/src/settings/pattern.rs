//! Regular expressions over what clients send: linear in time (the `regex` crate has no backtracking),
//! bounded in size, and always about the whole value, so that no pattern lets more in than it says.

use regex::bytes::{Regex, RegexBuilder};

/// The longest pattern.
const MAX_PATTERN_BYTES: usize = 1_024;
/// The largest compiled program, and the most that a search may cache.
const MAX_PROGRAM_BYTES: usize = 256 * 1_024;

/// See the module. A clone has caches of its own: each worker clones, so that none waits for another.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles `source`, anchored at both ends.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern has at most {MAX_PATTERN_BYTES} bytes"));
        }
        // Alone first: what is only a pattern between the anchors' parentheses is none.
        compile(source)?;
        let regex = compile(&format!("\\A(?:{source})\\z"))?;
        Ok(Self { source: source.to_owned(), regex })
    }

    /// Whether all of `value` matches.
    #[must_use]
    pub fn takes(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_PROGRAM_BYTES).dfa_size_limit(MAX_PROGRAM_BYTES).nest_limit(64);
    // The last line says what is wrong; those before it draw the pattern.
    let last = |why: regex::Error| {
        let text = why.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    };
    builder.build().map_err(last)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_the_whole_value() {
        let pattern = Pattern::new("v[0-9]+|edge").unwrap();
        for (value, taken) in
            [("v12", true), ("edge", true), ("v1/x", false), ("xedge", false), ("v1\n", false)]
        {
            assert_eq!(pattern.takes(value.as_bytes()), taken, "{value:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_alone_or_grows_too_large_is_refused() {
        for source in ["a)|(b", "(", "(a{1000}){1000}", "(?<=x)y", "(?x)a # open"] {
            assert!(Pattern::new(source).is_err(), "{source}");
        }
        assert!(Pattern::new(&"a".repeat(1_025)).is_err());
    }

    #[test]
    fn a_pattern_that_backtracks_elsewhere_takes_no_time_here() {
        let pattern = Pattern::new("(a+)+b").unwrap();
        let started = std::time::Instant::now();
        assert!(!pattern.takes(&[b'a'; 65_536]));
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
    }
}
