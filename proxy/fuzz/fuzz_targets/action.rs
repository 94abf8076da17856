//! An action's JSON, whatever it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::action::ActionRequest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(action) = serde_json::from_slice::<ActionRequest>(bytes) {
        let again = serde_json::to_vec(&action).unwrap();
        assert!(serde_json::from_slice::<ActionRequest>(&again).is_ok());
    }
});
