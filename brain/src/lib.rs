//! The brain of Lightsout: sees, decides and acts for a mesh of sidecar proxies, and proves what it did.

pub mod domain;
