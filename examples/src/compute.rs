//! The algorithms of the pipeline: plain functions over text, each with a code version in
//! [`features`](crate::features).

mod links;
mod symbols;
mod text;

pub use self::links::links;
pub use self::symbols::{SymbolRules, symbols};
pub use self::text::{TextCounts, text_counts};

use crate::features::SizeClass;

/// The text of a file; `None` if the file holds something else.
#[must_use]
pub fn as_text(content: &[u8]) -> Option<&str> {
    // A zero byte is valid UTF-8, but no text has one.
    std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))
}

/// The size class of a file of so many bytes.
#[must_use]
pub fn size_class(bytes: u64) -> SizeClass {
    match bytes {
        0 => SizeClass::Empty,
        1..4_096 => SizeClass::Small,
        4_096..65_536 => SizeClass::Medium,
        65_536.. => SizeClass::Large,
    }
}

/// How many minutes reading takes, at 200 words a minute.
#[must_use]
pub fn minutes_to_read(words: u64) -> f64 {
    words as f64 / 200.0
}

/// How many of `symbols` there are in a hundred of `lines`.
#[must_use]
pub fn per_100_lines(symbols: usize, lines: u64) -> f64 {
    if lines == 0 { 0.0 } else { symbols as f64 * 100.0 / lines as f64 }
}
