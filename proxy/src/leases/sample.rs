//! Small meshes and leases for this crate's tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::action::{ActionKind, ActionRequest, Receipt};
use protocol::document::Document;
use protocol::id::{ActionId, Epoch, ServiceName};

use super::Leases;
use crate::settings::{Given, Service, Settings};

/// `cart` and `web` with five endpoints of weight 100 each: `10.0.0.N:80`, v1 but the last, which is v2.
pub(crate) fn settings() -> Arc<Settings> {
    Arc::new(settings_of(&[("cart", 5), ("web", 5)], 0.5))
}

pub(crate) fn settings_of(services: &[(&str, usize)], min_capacity: f64) -> Settings {
    let mut text = format!(
        "floor: {{ min_capacity: {min_capacity:?} }}\nserver: {{port: 0, bind_address: 127.0.0.1}}\nadmin: {{port: 0}}\nupstream:\n  services:\n"
    );
    for (name, count) in services {
        text.push_str(&format!("    {name}:\n      endpoints:\n"));
        for n in 1..=*count {
            let version = if n == *count { "v2" } else { "v1" };
            text.push_str(&format!("        - {{ address: 10.0.0.{n}, port: 80, version: {version} }}\n"));
        }
    }
    let given = Given { ai_enabled: false, ai_mode: None, host_name: "night".to_owned(), cores: 2 };
    Settings::from_document(&Document::parse("sample.yaml", &text).unwrap(), &given).unwrap()
}

/// A service with endpoints `10.0.0.N:80` of these versions and weights.
pub(crate) fn service(name: &str, endpoints: &[(&str, u32)]) -> Service {
    let settings = settings_of(&[(name, endpoints.len())], 0.5);
    let mut service = Service::clone(&settings.services[&ServiceName::new(name).unwrap()]);
    for (endpoint, (version, weight)) in service.endpoints.iter_mut().zip(endpoints) {
        let endpoint = Arc::make_mut(endpoint);
        (*version).clone_into(&mut endpoint.version);
        endpoint.weight = *weight;
    }
    service
}

pub(crate) fn id(text: &str) -> ActionId {
    ActionId::new(text).unwrap()
}

pub(crate) fn request(service: &str, kind: serde_json::Value) -> ActionRequest {
    ActionRequest {
        epoch: Epoch(1),
        lease_ms: 30_000,
        service: ServiceName::new(service).unwrap(),
        kind: serde_json::from_value::<ActionKind>(kind).unwrap(),
        reason: String::new(),
        confidence: 0.9,
        issued_by: "test".to_owned(),
    }
}

/// `leases` with one more, without asking whether it may be.
pub(crate) fn with(leases: &Leases, name: &str, request: ActionRequest) -> Leases {
    let mut leases = leases.clone();
    let receipt = Receipt {
        id: id(name),
        applied_at: Timestamp::UNIX_EPOCH,
        expires_at: Timestamp::UNIX_EPOCH,
        live_state_hash_before: String::new(),
        live_state_hash_after: String::new(),
        answer: None,
    };
    leases.insert(request, receipt, Duration::from_secs(30));
    leases
}
