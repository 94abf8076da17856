//! A configuration, whatever it says: settings or a report, no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::document::Document;
use proxy::settings::{Given, Settings};

fuzz_target!(|text: &str| {
    if let Ok(document) = Document::parse("fuzz", text) {
        let given = Given { ai_enabled: false, ai_mode: None, host_name: "fuzz".into(), cores: 2 };
        let _ = Settings::from_document(&document, &given);
    }
});
