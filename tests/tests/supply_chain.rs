//! What we ship, and what in it the compiler does not check.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every `unsafe` block, function or foreign declaration of the workspace, and why it is there.
const UNSAFE: [(&str, usize, &str); 2] = [
    ("proxy/src/allocator.rs", 2, "malloc_trim gives freed memory back to the system; it takes no pointer"),
    ("proxy/src/code_pages.rs", 1, "madvise lets go of code that only starting ran; the file still holds it"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// How often the word stands in code; comments and texts say it too.
fn unsafe_in(text: &str) -> usize {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = code.flat_map(|line| line.split('"').step_by(2));
    let words = |line: &str| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        words.filter(|word| *word == concat!("un", "safe")).count()
    };
    code.map(words).sum()
}

#[test]
fn every_use_of_what_the_compiler_does_not_check_is_listed_with_its_reason() {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    let counted = found.iter().filter_map(|path| {
        let count = unsafe_in(&std::fs::read_to_string(path).unwrap());
        (count > 0).then(|| (path.strip_prefix(root()).unwrap().display().to_string(), count))
    });
    let counted: BTreeSet<(String, usize)> = counted.collect();
    let listed: BTreeSet<_> = UNSAFE.iter().map(|(path, count, _)| ((*path).to_owned(), *count)).collect();
    assert_eq!(counted, listed);
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

#[test]
fn the_bill_of_materials_names_everything_that_is_shipped_and_is_the_same_each_time() {
    let written = || {
        let made = Command::new("python3").arg(root().join(".ci/sbom.py")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    };
    let bytes = written();
    assert!(bytes == written(), "two runs, two bills");
    let bill: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    for shipped in ["proxy", "brain", "protocol", "trust", "rustls", "hyper", "tokio", "sqlx"] {
        assert_eq!(named(shipped).unwrap_or_else(|| panic!("no {shipped}"))["scope"], "required");
    }
    for absent in ["insta", "proptest", "tests"] {
        assert!(named(absent).is_none(), "{absent} is not shipped");
    }
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        let ours = ["proxy", "brain", "protocol", "trust"].map(Value::from).contains(&component["name"]);
        assert!(ours || component["hashes"][0]["content"].as_str().is_some_and(|hash| hash.len() == 64));
    }
}

/// Whether `name` is a test of this code: a function right below the word that makes it one.
fn is_test(code: &str, name: &str) -> bool {
    let Some((before, _)) = code.split_once(&format!("fn {name}(")) else { return false };
    let before = before.trim_end().trim_end_matches("async").trim_end();
    let mut above = before.lines().rev().take_while(|line| line.trim_start().starts_with("#["));
    above.any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
}

#[test]
fn every_row_of_the_tables_of_threats_names_tests_that_exist() {
    let mut all = Vec::new();
    sources(&root(), &mut all);
    for file in ["docs/threats.md", "docs/threats-control.md"] {
        let table = std::fs::read_to_string(root().join(file)).unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack"));
        // A row that names no file means that of the row above.
        let mut text = String::new();
        for row in rows {
            let shown = row.trim_end_matches('|').rsplit('|').next().unwrap();
            let mut named = 0;
            for name in shown.split('`').skip(1).step_by(2) {
                if name.ends_with(".rs") {
                    let path = all.iter().find(|path| path.ends_with(name));
                    text =
                        std::fs::read_to_string(path.unwrap_or_else(|| panic!("{row}: no {name}"))).unwrap();
                } else {
                    assert!(is_test(&text, name), "{row}: there is no test {name}");
                    named += 1;
                }
            }
            assert!(named > 0, "{row} names no test");
        }
    }
}
