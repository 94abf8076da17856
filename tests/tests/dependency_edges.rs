//! The edges of the house, held by a test: who may know whom.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Dependencies by package: only those between packages of this workspace, or all by name.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |v: &serde_json::Value| v["name"].as_str().unwrap().to_owned();
    let package =
        |p: &serde_json::Value| (name(p), p["dependencies"].as_array().unwrap().iter().map(name).collect());
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

/// Every Rust source under `folder`, without its tests, inline or in a `tests.rs` beside it.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        if folder.is_file() {
            found.push(folder);
            continue;
        }
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is gone", folder.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            let is_source = path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs");
            if path.is_dir() || is_source {
                folders.push(path);
            }
        }
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
        (path.strip_prefix(root()).unwrap().display().to_string(), lines.collect::<Vec<_>>().join("\n"))
    };
    found.into_iter().map(read).collect()
}

fn offenders(folder: &str, words: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let all = sources(folder);
    assert!(!all.is_empty(), "{folder} holds no source");
    let guilty = |(path, text): &(String, String)| {
        let word = words.iter().find(|word| text.contains(**word))?;
        (!allowed(path)).then(|| format!("{path} says {word}"))
    };
    all.iter().filter_map(guilty).collect()
}

#[test]
fn proxy_and_brain_know_only_protocol_and_trust_and_those_know_nobody() {
    let all = dependencies();
    let ours = ["protocol", "trust", "proxy", "brain", "tests"];
    let among_us = |package: &str| -> Vec<&str> {
        all[package].iter().map(String::as_str).filter(|d| ours.contains(d)).collect()
    };
    assert_eq!(among_us("protocol"), Vec::<&str>::new());
    assert_eq!(among_us("trust"), Vec::<&str>::new());
    assert_eq!(among_us("proxy"), ["protocol", "trust"]);
    assert_eq!(among_us("brain"), ["protocol", "trust"]);
    assert_eq!(among_us("tests"), ["protocol"]);
}

#[test]
fn the_proxy_knows_no_database_and_the_protocol_no_runtime() {
    let all = dependencies();
    for absent in ["sqlx", "reqwest", "statrs"] {
        assert!(!all["proxy"].iter().any(|d| d == absent), "the proxy depends on {absent}");
    }
    for absent in ["tokio", "hyper", "axum", "sqlx", "reqwest"] {
        assert!(!all["protocol"].iter().any(|d| d == absent), "the protocol depends on {absent}");
    }
    let io = ["std::fs", "std::net::Tcp", "Instant::now", "SystemTime::now", "Timestamp::now"];
    assert_eq!(offenders("protocol/src", &io, |_| false), Vec::<String>::new());
}

#[test]
fn the_database_is_spoken_to_only_under_audit() {
    let allowed = |path: &str| path.starts_with("brain/src/audit");
    assert_eq!(offenders("brain/src", &["sqlx"], allowed), Vec::<String>::new());
}

#[test]
fn the_stages_of_the_brain_do_no_io_and_read_no_clock() {
    let forbidden = [
        "tokio::",
        "reqwest",
        "std::fs",
        "std::net::Tcp",
        "Instant::now",
        "SystemTime::now",
        "Timestamp::now",
        "sqlx",
        "getrandom",
        "fastrand",
        "println!",
    ];
    for stage in [
        "control_loop.rs",
        "control_loop",
        "canary",
        "state",
        "detection",
        "diagnosis",
        "decision",
        "guard",
        "verification",
        "learning",
        "domain",
        "canary/judge",
    ] {
        let found = offenders(&format!("brain/src/{stage}"), &forbidden, |path| path.contains("/tests/"));
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn only_settings_read_the_shape_of_the_configuration_file() {
    for package in ["proxy", "brain"] {
        let allowed = |path: &str| path.contains("/settings") || path.contains("/config");
        assert_eq!(offenders(&format!("{package}/src"), &["crate::config"], allowed), Vec::<String>::new());
    }
}

#[test]
fn one_crypto_provider_at_most_is_in_the_tree() {
    // `cargo tree -i` prints nothing for what is only named by a feature nobody asks for.
    for banned in ["ring", "openssl-sys"] {
        let arguments =
            ["tree", "-i", banned, "--workspace", "--target", "all", "-e", "normal,build,dev", "--offline"];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(tree.trim().is_empty(), "{banned} has come in:\n{tree}");
    }
}
