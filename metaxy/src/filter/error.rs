//! [`FilterError`]: what is wrong with a filter, with the place.

use std::fmt;
use std::ops::Range;

/// What is wrong with a filter, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl FilterError {
    pub(super) fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let (start, end) = (floor(text, span.start), floor(text, span.end));
        let span = start..end.max(start);
        Self { text: text.to_owned(), span, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The filter.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the mistake is in the text, in bytes; empty at the end of a text that is too short.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead, if there is something to say.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The nearest place at or before a number of bytes at which a character begins.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

impl std::error::Error for FilterError {}

/// The message, the line of the filter with a mark under the mistake, and what to do.
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let (before, after) = self.text.split_at(self.span.start);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(self.text.len(), |newline| self.span.start + newline);
        let line = Shown::new(&self.text[start..end], self.span.start - start, self.span.len());
        write!(f, "\n    {}{}{}", line.before, line.marked, line.after)?;
        // A tab stays a tab, so that the mark stands below what it marks.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = line.before.chars().map(blank).collect();
        let n_marks = line.marked.chars().count().max(1);
        write!(f, "\n    {indent}{}", "^".repeat(n_marks))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n    {hint}")?;
        }
        Ok(())
    }
}

/// As much of a line as is shown around a mistake.
struct Shown {
    before: String,
    marked: String,
    after: String,
}

impl Shown {
    /// How many characters are shown at the most, before the mistake, of it and after it.
    const CHARS: usize = 60;

    fn new(line: &str, at: usize, len: usize) -> Self {
        let (before, rest) = line.split_at(at);
        // The mistake may go on in the next line.
        let (marked, after) = rest.split_at(len.min(rest.len()));
        let start = before.char_indices().rev().nth(Self::CHARS - 1).map_or(0, |(i, _)| i);
        let dots = if start > 0 { "..." } else { "" };
        Self {
            before: format!("{dots}{}", &before[start..]),
            marked: first(marked, Self::CHARS),
            after: first(after, Self::CHARS),
        }
    }
}

/// The first characters of a text, and dots if there are more.
pub(super) fn first(text: &str, n_chars: usize) -> String {
    match text.char_indices().nth(n_chars) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
