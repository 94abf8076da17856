//! The page as HTML: one file, no script, nothing fetched.

use std::fmt::Write as _;

use super::plot::svg;
use super::{CanaryDetail, EVIDENCE_HEADS, evidence_rows, facts, headline, instant, plots};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2128}\
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}\
svg{width:100%;height:auto;margin:.5rem 0}h2{margin-top:2rem}.why{font-size:1.1rem}";

/// The report as HTML.
#[must_use]
pub fn html(canary: &CanaryDetail) -> String {
    let title = escaped(&headline(canary));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\n\
         <h1>{title}</h1>\n<p class=\"why\">{}</p>\n",
        escaped(&canary.view.why)
    );
    let facts: Vec<Vec<String>> =
        facts(canary).into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect();
    page += &table(&[], &facts);
    let rows: Vec<Vec<String>> = evidence_rows(canary).into_iter().map(Vec::from).collect();
    if !rows.is_empty() {
        page += "<h2>Evidence</h2>\n";
        page += &table(&EVIDENCE_HEADS, &rows);
    }
    for plot in plots(canary) {
        page += &svg(&plot);
    }
    page += "<h2>What happened</h2>\n";
    let moves = canary.record.moves.iter().map(|m| {
        let phase = m.phase.name().replace('_', " ");
        vec![instant(m.at_ms), phase, format!("{} %", m.weight), m.by.clone(), m.why.clone()]
    });
    page += &table(&["When", "Phase", "Share", "Who", "Why"], &moves.collect::<Vec<_>>());
    page + "</html>\n"
}

fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<table>\n");
    if !heads.is_empty() {
        let cells: String = heads.iter().map(|head| format!("<th>{}</th>", escaped(head))).collect();
        let _ = writeln!(text, "<tr>{cells}</tr>");
    }
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let _ = writeln!(text, "<tr>{cells}</tr>");
    }
    text + "</table>\n"
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
