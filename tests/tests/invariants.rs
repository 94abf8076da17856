//! The table of invariants names tests that exist, and every invariant that the simulation looks at.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use anyhow::{Context, Result, ensure};

fn read(path: &str) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_table_names_is_there() -> Result<()> {
    let table = read("docs/invariants.md")?;
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`"));
    let mut named = 0;
    for row in rows {
        let mut code = String::new();
        for word in quoted(row) {
            if word.ends_with(".rs") {
                code = read(word)?;
            } else if word.contains('_') {
                ensure!(code.contains(&format!("fn {word}(")), "there is no test {word}");
                named += 1;
            }
        }
    }
    ensure!(named >= 30, "only {named} tests are named");
    Ok(())
}

#[test]
fn every_invariant_of_the_simulation_stands_in_the_table() -> Result<()> {
    let (table, code) = (read("docs/invariants.md")?, read("benchmarks/simulation/src/invariants/mod.rs")?);
    let listed =
        code.split("INVARIANTS").nth(1).and_then(|rest| rest.split("];").next()).context("no list")?;
    // Names have dashes, meanings have spaces.
    let names = listed.split('"').skip(1).step_by(2).filter(|word| !word.contains(' '));
    let names: Vec<&str> = names.collect();
    ensure!(names.len() >= 21, "{names:?}");
    for name in names {
        ensure!(quoted(&table).any(|word| word == name), "{name} is not in the table");
    }
    Ok(())
}
