//! Constants: numbers, days, points in time and UUIDs as texts -> [`Value`]s.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use metaxy_sql::filter::Value;

/// A number without sign. `None` if it is too large.
pub(super) fn number(digits: &str) -> Option<Value> {
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.parse().ok().map(Value::Int);
    }
    digits.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float)
}

/// A day, `2024-01-31`, counted from 1970-01-01.
pub(super) fn date(text: &str) -> Option<i32> {
    day(text).map(days)
}

fn days(date: NaiveDate) -> i32 {
    // The years are those of four digits.
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// The midnight UTC at which a day begins, in microseconds; `None` if there is no such number.
pub(super) fn midnight(days: i32) -> i64 {
    i64::from(days) * 86_400_000_000
}

fn day(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |digits: &str| {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten()
    };
    let (year, month, day) =
        (number(text.get(..4)?)?, number(text.get(5..7)?)?, number(text.get(8..)?)?);
    let year = i32::try_from(year).ok().filter(|year| *year >= 1)?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// A point in time, `2024-01-31 12:00:00`, in microseconds since 1970-01-01 UTC: with a `T` if one
/// likes, up to six digits of a fraction, and `Z` or `+hh:mm` (UTC without). A day is its midnight.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let date = day(text.get(..10)?)?;
    let Some(rest) = text[10..].strip_prefix(['T', 't', ' ']) else {
        return text[10..].is_empty().then(|| midnight(days(date)));
    };
    let (time, offset) = split_offset(rest)?;
    let time = clock(time)?;
    let local: DateTime<Utc> = Utc.from_utc_datetime(&NaiveDateTime::new(date, time));
    Some(local.timestamp_micros() - offset)
}

/// A time without and the microseconds that its offset from UTC has.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (time, offset) = text.split_at(at);
    let (hours, minutes) = match offset[1..].split_once(':') {
        Some((hours, minutes)) => (hours, two_digits(minutes).filter(|m| *m < 60)?),
        None => (&offset[1..], 0),
    };
    let hours = two_digits(hours).filter(|hours| *hours < 24)?;
    let micros = i64::from(hours * 60 + minutes) * 60_000_000;
    Some((time, if offset.starts_with('-') { -micros } else { micros }))
}

fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn clock(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':').map(two_digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    // Seconds may be left out, but not before a fraction of them.
    let second = match parts.next() {
        Some(second) => second?,
        None if text.contains('.') => return None,
        None => 0,
    };
    let is_fraction =
        (1..=6).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !is_fraction {
        return None;
    }
    let micros: u32 = format!("{fraction:0<6}").parse().ok()?;
    NaiveTime::from_hms_micro_opt(hour, minute, second, micros)
}

/// A UUID, with or without hyphens or braces, as engines print it.
pub(super) fn uuid(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let is_hyphen = |i: usize| matches!(i, 8 | 13 | 18 | 23);
    let digits: String = match inner.len() {
        36 if inner.bytes().enumerate().all(|(i, b)| (b == b'-') == is_hyphen(i)) => {
            inner.replace('-', "")
        }
        32 => inner.to_owned(),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.to_ascii_lowercase();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(parts.join("-"))
}
