//! JSON as Python's `json` module writes it: a value goes in, the text that is hashed comes out.
//!
//! Spec and definition versions are hashes of `json.dumps(value, sort_keys=True)`, so every byte
//! counts: the separators are `", "` and `": "`, everything outside ASCII is escaped as UTF-16, and
//! floats look like Python's `repr`. Nothing here knows what the value means.

use serde_json::{Map, Value};
use std::fmt::Write;

/// The text of `json.dumps(value, sort_keys=True)`: what is hashed.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, true);
    out
}

/// The text of `json.dumps(value)`: members in the order in which they were inserted.
#[must_use]
pub fn in_order(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, false);
    out
}

/// Reads a JSON text, refusing numbers that would not keep their value.
///
/// Python's integers have no bounds. One that fits neither `i64` nor `u64` would silently become a
/// float here and change every hash that it enters.
///
/// # Errors
/// The reason, with line and column where the text is no JSON.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let value = serde_json::from_str(text).map_err(|e| format!("not valid JSON: {e}"))?;
    // `-0` has no sign in Python, and one in a float.
    let is_lost = |number: &&str| *number == "-0" || !fits_into_64_bits(number);
    match integers(text).find(is_lost) {
        None => Ok(value),
        Some(number) => Err(format!(
            "the integer `{number}` does not fit into 64 bits; write it as a text or a float"
        )),
    }
}

/// Whether an integer is kept as one, and does not become a float.
pub(crate) fn fits_into_64_bits(number: &str) -> bool {
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
}

/// The integers of a valid JSON text, as they are written.
pub(crate) fn integers(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut i = 0;
    std::iter::from_fn(move || {
        while i < bytes.len() {
            match bytes[i] {
                b'"' => {
                    i += 1;
                    while bytes[i] != b'"' {
                        i += if bytes[i] == b'\\' { 2 } else { 1 };
                    }
                    i += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let start = i;
                    while i < bytes.len()
                        && matches!(bytes[i], b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
                    {
                        i += 1;
                    }
                    let number = &text[start..i];
                    if !number.contains(['.', 'e', 'E']) {
                        return Some(number);
                    }
                }
                _ => i += 1,
            }
        }
        None
    })
}

fn write_value(out: &mut String, value: &Value, sorted: bool) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => write_float(out, float),
            _ => write!(out, "{number}").expect("a String takes everything"),
        },
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_value(out, item, sorted);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members, sorted),
    }
}

fn write_object(out: &mut String, members: &Map<String, Value>, sorted: bool) {
    let mut members: Vec<_> = members.iter().collect();
    if sorted {
        // By code point, as Python compares text; bytes of UTF-8 have the same order.
        members.sort_unstable_by_key(|(name, _)| name.as_str());
    }
    out.push('{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_text(out, name);
        out.push_str(": ");
        write_value(out, value, sorted);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if text.bytes().all(is_plain) {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a String takes everything");
                }
            }
        }
    }
    out.push('"');
}

/// Python's `float.__repr__`: the shortest digits that read back as the same number, with an
/// exponent below 1e-4 and from 1e16.
fn write_float(out: &mut String, float: f64) {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    if (-4..16).contains(&exponent) {
        write!(out, "{float:?}").expect("a String takes everything");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.abs()).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn separators_order_and_escapes() {
        let value = json!({"b": [1, -2, true, null], "a": {"z": "né–😀\u{7f}\n\"\\", "é": {}}});
        assert_eq!(
            canonical(&value),
            r#"{"a": {"z": "n\u00e9\u2013\ud83d\ude00\u007f\n\"\\", "\u00e9": {}}, "b": [1, -2, true, null]}"#
        );
        assert!(in_order(&value).starts_with(r#"{"b": [1"#));
    }

    /// The right column is what `json.dumps` of Python 3.11 gives.
    #[test]
    fn floats() {
        for (float, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1e100, "1e+100"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(canonical(&json!(float)), text);
        }
    }

    #[test]
    fn integers_keep_their_value_or_are_refused() {
        let value =
            parse(r#"[18446744073709551615, -9223372036854775808, 0, "-0 1e400"]"#).unwrap();
        assert_eq!(
            canonical(&value),
            r#"[18446744073709551615, -9223372036854775808, 0, "-0 1e400"]"#
        );
        for refused in ["18446744073709551616", "-9223372036854775809", "-0"] {
            let error = parse(&format!(r#"{{"\"a\\": [{refused}]}}"#)).unwrap_err();
            assert!(error.contains(refused), "{error}");
        }
        assert!(parse("{").unwrap_err().contains("line 1 column"));
    }

    #[test]
    fn floats_are_read_exactly() {
        for text in ["0.1", "2.225073858507201e-308", "1.7976931348623157e+308", "8.41e+21"] {
            assert_eq!(canonical(&parse(text).unwrap()), text);
        }
    }
}
