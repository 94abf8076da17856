//! A path's one spelling: stable, and never above the root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::middleware::path::spelt;
use proxy::settings::{DotSegments, EscapedSlashes, PathRules};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, path)) = bytes.split_first() else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    if !path.starts_with('/') {
        return;
    }
    let escaped_slashes = [EscapedSlashes::Reject, EscapedSlashes::Keep, EscapedSlashes::Decode][usize::from(choice % 3)];
    let rules = PathRules { merge_slashes: choice & 4 == 0, escaped_slashes, dot_segments: DotSegments::Resolve };
    if let Ok(once) = spelt(path, rules) {
        assert_eq!(spelt(&once, rules).as_deref(), Ok(&*once));
        assert!(once.starts_with('/') && once.split('/').all(|segment| segment != ".." && segment != "."));
    }
});
