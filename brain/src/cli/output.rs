//! Printing: tables and JSON, colours only where a terminal shows them, text that came from elsewhere made
//! harmless, and a reader that went away no error.

use std::io::{ErrorKind, Write as _};

use owo_colors::{OwoColorize as _, Stream};
use protocol::action::Items;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::client::Failure;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs, as the API says it.
    Json,
}

/// Writes `text` to standard output. A pipe that was closed ends the program's interest, not its success.
///
/// # Errors
/// Standard output cannot be written for another reason, a full disk for one.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {why}")))
        }
        _ => Ok(()),
    }
}

/// Prints `value` as JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    print(&format!("{text}\n"))
}

/// Prints a list in the wanted format; `empty` is what a person reads when there is nothing.
pub(super) fn print_list<T: Serialize, const N: usize>(
    format: Format,
    items: &Items<T>,
    empty: &str,
    heads: [&str; N],
    row: impl Fn(&T) -> Vec<[String; N]>,
) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(items),
        Format::Table if items.items.is_empty() => print(&format!("{empty}\n")),
        Format::Table => print(&table(heads, items.items.iter().flat_map(row))),
    }
}

/// A table without lines, as `ps` prints it.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut builder = Builder::default();
    builder.push_record(heads);
    for row in rows {
        builder.push_record(row.map(|cell| harmless(&cell)));
    }
    format!("{}\n", builder.build().with(Style::blank()))
}

/// Control characters escaped: what traffic named cannot move a terminal's cursor. Escape sequences of our
/// own colours are the exception, and only they: colours are put on after escaping.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional overrides reorder what is read; they count as control characters here.
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Red on a terminal.
pub(super) fn bad(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |t| t.red()).to_string()
}

/// Green on a terminal.
pub(super) fn good(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |t| t.green()).to_string()
}

/// Bold on a terminal.
pub(super) fn strong(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |t| t.bold()).to_string()
}

/// A share as per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// The time of day and the day, UTC.
pub(super) fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| "outside the calendar".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A word of a closed set as it stands in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => other.map(|v| v.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_traffic_named_cannot_steer_the_terminal() {
        let shown = harmless("cart\u{1b}[2J\u{202e}\nx");
        assert_eq!(shown, "cart\\u{1b}[2J\\u{202e}\\nx");
    }

    #[test]
    fn a_table_keeps_one_line_a_row() {
        let text = table(["A", "B"], [["1\n2".to_owned(), "x".to_owned()]].into_iter());
        assert_eq!(text.lines().count(), 2);
    }
}
