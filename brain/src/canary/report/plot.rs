//! One line plot as inline SVG.

use std::fmt::Write as _;

use super::Plot;
use super::html::escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Room for the axes' words, left and below.
const LEFT: f64 = 60.0;
const BELOW: f64 = 30.0;
const ABOVE: f64 = 24.0;
const COLOURS: [&str; 3] = ["#0969da", "#8c959f", "#bf3989"];

/// The plot; empty where there is nothing to draw.
pub(super) fn svg(plot: &Plot) -> String {
    let all = || plot.series.iter().flat_map(|(_, points)| points);
    if all().count() < 2 {
        return String::new();
    }
    let last_s = all().map(|(s, _)| *s).fold(1.0, f64::max);
    let top = all().map(|(_, v)| *v).filter(|v| v.is_finite()).fold(1e-9, f64::max) * 1.05;
    let bottom = all().map(|(_, v)| *v).filter(|v| v.is_finite()).fold(0.0, f64::min);
    let x = |s: f64| LEFT + s / last_s * (WIDTH - LEFT - 10.0);
    let y = |v: f64| ABOVE + (top - v) / (top - bottom) * (HEIGHT - ABOVE - BELOW);
    let mut text = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-size=\"12\" font-family=\"sans-serif\">\n\
         <text x=\"{LEFT}\" y=\"14\" font-weight=\"bold\">{} ({})</text>\n",
        escaped(plot.title),
        escaped(plot.unit)
    );
    for value in [bottom, f64::midpoint(bottom, top), top] {
        let (at, right) = (y(value), WIDTH - 10.0);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#d0d7de\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    for part in [0.0, 0.5, 1.0] {
        let seconds = part * last_s;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.0} s</text>",
            x(seconds),
            HEIGHT - 10.0
        );
    }
    for (nth, (name, points)) in plot.series.iter().enumerate() {
        let colour = COLOURS.get(nth).copied().unwrap_or("#57606a");
        let line: Vec<String> = points
            .iter()
            .filter(|(_, v)| v.is_finite())
            .map(|(s, v)| format!("{:.1},{:.1}", x(*s), y(*v)))
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\
             <text x=\"{:.1}\" y=\"14\" fill=\"{colour}\" text-anchor=\"end\">{}</text>",
            line.join(" "),
            WIDTH - 10.0 - 70.0 * nth as f64,
            escaped(name)
        );
    }
    text + "</svg>\n"
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
