//! Canonical JSON: one byte string for one value (RFC 8785), so that its hash means something.
//!
//! Keys are sorted by UTF-16 code units, strings escaped as little as JSON allows, numbers written as
//! ECMAScript writes them. Integers beyond 2^53 are doubles in that standard and lose their last digits.

use serde_json::{Number, Value};

/// Writes `value` canonically.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (n, (key, item)) in entries.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// The shortest escape of each control character, and of `"` and `\`; all else as it is.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn number_text(number: &Number) -> String {
    const EXACT: u64 = 1 << 53;
    if let Some(n) = number.as_i64()
        && n.unsigned_abs() <= EXACT
    {
        return n.to_string();
    }
    // Neither NaN nor infinite: `Number` holds none.
    ecmascript(number.as_f64().unwrap_or(0.0))
}

/// `Number::toString` of ECMA-262 (section 6.1.6.1.20), from the shortest digits that read back.
fn ecmascript(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (digits, exponent) = shortest(value.abs());
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The decimal point stands after `point` digits.
    let point = exponent + 1;
    let sign = if value < 0.0 { "-" } else { "" };
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap_or(0).min(digits.len()));
    let magnitude = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = split(point);
        format!("{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = split(1);
        let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        format!("{first}{fraction}e{:+}", point - 1)
    };
    format!("{sign}{magnitude}")
}

/// The fewest digits `d.ddd` that read back to `value` with their exponent; of two equally near ones the
/// even (note 2 of the same section), where Rust's own choice is the upper.
fn shortest(value: f64) -> (String, i32) {
    let parts = |text: &str| {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        (digits, exponent.parse::<i32>().unwrap_or(0))
    };
    let (digits, exponent) = parts(&format!("{value:e}"));
    let Some((head, last)) = digits.split_at_checked(digits.len() - 1) else { return (digits, exponent) };
    let odd = last.parse::<u8>().ok().filter(|last| last % 2 == 1);
    if let Some(last) = odd {
        let even = format!("{head}{}", last - 1);
        // Written out far enough, a value half-way between the two is the lower one and a 5.
        let (exact, _) = parts(&format!("{value:.*e}", digits.len() + 30));
        let is_half_way = exact.strip_prefix(&even).is_some_and(|rest| rest.trim_end_matches('0') == "5");
        let reads_back = format!("0.{even}e{}", exponent + 1).parse() == Ok(value);
        if is_half_way && reads_back {
            return (even, exponent);
        }
    }
    (digits, exponent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8785, section 3.2.2 and its canonical form in section 3.2.3.
    #[test]
    fn the_sample_of_the_standard_comes_out_as_the_standard_says() {
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(
            to_string(&value),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
    }

    /// RFC 8785, section 3.2.3: keys in the order of their UTF-16 code units.
    #[test]
    fn keys_are_sorted_as_the_standard_says() {
        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let value: Value = serde_json::from_str(input).unwrap();
        let text = to_string(&value);
        let order = ["Carriage Return", "One", "Control", "Latin Small", "Euro Sign", "Emoji", "Hebrew"];
        let places: Vec<usize> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    /// RFC 8785, appendix B.
    #[test]
    fn numbers_are_written_as_the_standard_says() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)), text);
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_to_the_same_bits(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let back: f64 = serde_json::from_str(&ecmascript(value)).unwrap();
            prop_assert!(back == value);
        }
    }
}
