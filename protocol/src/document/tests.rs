#![allow(clippy::panic)]
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Document, Report};

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Shop {
    #[serde(default)]
    server: Server,
    #[serde(default)]
    services: BTreeMap<String, Service>,
    mood: Option<Mood>,
}

#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Server {
    port: u16,
    tls: Option<Tls>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: String,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Service {
    weight: u32,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mood {
    Calm,
    Alert,
}

fn read(text: &str) -> Result<Shop, Report> {
    Document::parse("shop.yaml", text)?.read()
}

fn findings(text: &str) -> Vec<(u64, u64, String)> {
    match read(text) {
        Ok(shop) => panic!("taken: {shop:?}"),
        Err(report) => report.problems.into_iter().map(|p| (p.line, p.column, p.message)).collect(),
    }
}

#[test]
fn a_good_document_is_read() {
    let shop = read("server: { port: 80 }\nservices:\n  cart: { weight: 3 }\nmood: calm\n");
    assert_eq!(
        shop.map(|s| (s.server.port, s.services["cart"].weight, s.mood)),
        Ok((80, 3, Some(Mood::Calm)))
    );
    assert!(read("").is_ok(), "an empty document is all defaults");
}

#[test]
fn several_mistakes_come_in_one_report_each_with_its_place() {
    let text = "server:\n  prot: 80\nservices:\n  cart:\n    weight: heavy\n  web: {}\nmood: clam\n";
    let found = findings(text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!((found[0].0, found[0].1), (2, 3));
    assert_eq!(found[0].2, r#"unknown key "prot"; did you mean "port"?"#);
    assert_eq!((found[1].0, found[1].1), (5, 5));
    assert!(found[2].2.contains("weight"), "{}", found[2].2);
    assert!(found[3].2.contains(r#"did you mean "calm"?"#), "{}", found[3].2);
}

#[test]
fn mistakes_inside_an_optional_part_are_named_there() {
    let found = findings("server:\n  port: 1\n  tls:\n    certifcate: x\n");
    assert!(found.iter().any(|f| f.0 == 4 && f.2.contains(r#"did you mean "certificate"?"#)), "{found:?}");
}

#[test]
fn out_of_range_and_duplicate_keys_are_mistakes() {
    assert_eq!(findings("server:\n  port: 70000\n")[0].0, 2);
    assert_eq!(findings("server: {}\nserver: {}\n")[0].0, 2);
    assert_eq!(findings("server: [\n")[0].0, 1, "named where the bracket opens");
}

#[test]
fn a_report_shows_the_line_and_points_at_the_column() {
    let shown = read("server:\n  prot: 80\n").map_err(|r| r.to_string());
    let expected = "shop.yaml:2:3: unknown key \"prot\"; did you mean \"port\"?\n  2 |   prot: 80\n    |   ^";
    assert_eq!(shown.err().as_deref(), Some(expected));
}

#[test]
fn a_document_that_would_grow_without_bound_is_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let prior = level - 1;
        let refs = vec![format!("*a{prior}"); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    assert!(Document::parse("bomb.yaml", &bomb).is_err());
    assert!(Document::parse("big.yaml", &"x".repeat(super::MAX_DOCUMENT_BYTES + 1)).is_err());
}

#[test]
fn a_callers_finding_stands_where_its_value_stands() -> Result<(), Report> {
    let document = Document::parse("shop.yaml", "services:\n  cart:\n    weight: 0\n")?;
    let report = document.report(vec![("/services/cart/weight".to_owned(), "must be positive".to_owned())]);
    assert_eq!((report.problems[0].line, report.problems[0].column), (3, 5));
    Ok(())
}
