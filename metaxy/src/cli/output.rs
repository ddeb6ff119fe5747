//! [`Output`]: what a command answers, as a table, as JSON or as Markdown.

use super::Failure;
use clap::ValueEnum;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;
use std::io::Write;

/// How the answer of a command is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For reading
    #[default]
    Table,
    /// For programs
    Json,
    /// For pull requests
    Markdown,
}

/// The answer of a command: the same in words and as JSON.
#[derive(Debug)]
pub(super) struct Answer {
    json: Value,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Title(String),
    Text(String),
    Table { header: Vec<String>, rows: Vec<Vec<String>> },
}

impl Answer {
    /// An answer that programs read as this.
    pub(super) fn new(json: Value) -> Self {
        Self { json, parts: Vec::new() }
    }

    /// The title of what follows.
    pub(super) fn title(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Title(text.into()));
        self
    }

    /// A line, or several.
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// A table; nothing if it has no rows.
    pub(super) fn table<'a>(
        mut self,
        header: impl IntoIterator<Item = &'a str>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        let header = header.into_iter().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = rows.into_iter().collect();
        if !rows.is_empty() {
            self.parts.push(Part::Table { header, rows });
        }
        self
    }
}

/// Where answers go, and in which form.
pub(super) struct Output {
    to: Box<dyn Write>,
    format: Format,
}

impl Output {
    pub(super) fn new(to: Box<dyn Write>) -> Self {
        Self { to, format: Format::default() }
    }

    pub(super) fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// The form that was asked for.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Where data goes that has a form of its own.
    pub(super) fn data(&mut self) -> &mut dyn Write {
        &mut self.to
    }

    /// Writes an answer.
    pub(super) fn answer(&mut self, answer: &Answer) -> Result<(), Failure> {
        if self.format == Format::Json {
            writeln!(self.to, "{:#}", answer.json)?;
            return Ok(());
        }
        let is_markdown = self.format == Format::Markdown;
        for (i, part) in answer.parts.iter().enumerate() {
            // Markdown needs an empty line between two things; for reading, one before a title is enough.
            if i > 0 && (is_markdown || matches!(part, Part::Title(_))) {
                writeln!(self.to)?;
            }
            match part {
                Part::Title(text) if is_markdown => writeln!(self.to, "### {text}")?,
                Part::Title(text) | Part::Text(text) => writeln!(self.to, "{text}")?,
                Part::Table { header, rows } => {
                    writeln!(self.to, "{}", table(header, rows, is_markdown))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}

fn table(header: &[String], rows: &[Vec<String>], is_markdown: bool) -> Table {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.load_style(if is_markdown { ASCII_MARKDOWN } else { UTF8_FULL_CONDENSED });
    let cell = |text: &String| match is_markdown {
        // A bar or an end of line would end the cell.
        true => text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', "<br>"),
        false => text.clone(),
    };
    table.set_header(header.iter().map(cell));
    for row in rows {
        table.add_row(row.iter().map(cell));
    }
    table
}
