//! Reads tables from text, one entry a line: harbour, time and height.

use crate::{Entry, Table, Time};

/// More entries than a year has are a mistake.
const MAX_ENTRIES: usize = 1_500;

/// Why a text is no table.
pub enum ParseError {
    /// A line has fewer than three words.
    TooShort { line: usize },
    /// There are too many lines.
    TooLong,
}

type Result<T> = std::result::Result<T, ParseError>;

/// Reads a table.
pub fn parse(text: &str) -> Result<Table> {
    let entries = text.lines().enumerate().map(|(line, text)| entry(line, text));
    let entries = entries.collect::<Result<Vec<_>>>()?;
    if entries.len() > MAX_ENTRIES { Err(ParseError::TooLong) } else { Ok(Table { entries }) }
}

fn entry(line: usize, text: &str) -> Result<Entry> {
    let mut words = text.split_whitespace();
    let mut word = || words.next().ok_or(ParseError::TooShort { line });
    Ok(Entry { harbour: word()?.to_owned(), time: Time::new(word()?), height: word()?.parse().unwrap_or(0.0) })
}
