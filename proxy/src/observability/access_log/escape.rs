//! Bytes of a client's choosing, made harmless: what is written is printable ASCII, so that no line can
//! be forged by CR and LF, no terminal told anything by ANSI or C1 sequences, and no reader confused by
//! odd Unicode.

/// Values are cut after so many bytes.
pub const MAX_VALUE_BYTES: usize = 4_096;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// As the inside of a JSON string, in ASCII only. What is no UTF-8 becomes U+FFFD.
pub fn json(value: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(cut(value)).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.push(character as u8),
            _ => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| unicode(*unit, out));
            }
        }
    }
}

/// As a part of a text line: whatever is not printable ASCII, and quotes and backslashes, as `\xHH`;
/// blanks too, unless the part is `quoted`.
pub fn text(value: &[u8], quoted: bool, out: &mut Vec<u8>) {
    for byte in cut(value) {
        match byte {
            b' ' if quoted => out.push(b' '),
            b'"' | b'\\' => hexadecimal(*byte, out),
            b'!'..=b'~' => out.push(*byte),
            _ => hexadecimal(*byte, out),
        }
    }
}

fn cut(value: &[u8]) -> &[u8] {
    value.get(..MAX_VALUE_BYTES).unwrap_or(value)
}

fn unicode(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    unit.to_be_bytes().into_iter().for_each(|byte| digits(byte, out));
}

fn hexadecimal(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    digits(byte, out);
}

fn digits(byte: u8, out: &mut Vec<u8>) {
    out.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_text(value: &[u8], quoted: bool) -> String {
        let mut out = Vec::new();
        text(value, quoted, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_could_forge_a_line_is_spelt_out() {
        assert_eq!(in_text(b"a\r\nb \x1b[31m\"\\\x9b", false), "a\\x0d\\x0ab\\x20\\x1b[31m\\x22\\x5c\\x9b");
        assert_eq!(in_text(b"a b", true), "a b");
    }

    proptest! {
        #[test]
        fn text_is_printable_and_unambiguous(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let written = in_text(&value, false);
            prop_assert!(written.bytes().all(|b| b.is_ascii_graphic() && b != b'"'));
            let mut read = Vec::new();
            let mut rest = written.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                let hex = (*first == b'\\').then(|| std::str::from_utf8(&after[1..3]).unwrap());
                read.push(hex.map_or(*first, |hex| u8::from_str_radix(hex, 16).unwrap()));
                rest = if hex.is_some() { &after[3..] } else { after };
            }
            prop_assert_eq!(read, value);
        }

        #[test]
        fn json_is_printable_and_reads_back(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = vec![b'"'];
            json(&value, &mut out);
            out.push(b'"');
            prop_assert!(out.iter().all(|b| (0x20..=0x7e).contains(b)));
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&value));
        }
    }

    #[test]
    fn a_value_without_end_is_cut() {
        assert_eq!(in_text(&[b'a'; 100_000], false).len(), MAX_VALUE_BYTES);
    }
}
