//! A [`Migration`] as text: what it does and why in words, then the statements of its steps.

use super::steps::{Down, Migration};
use crate::error::Result;
use metaxy_sql::ast::Statement;
use metaxy_sql::{Dialect, print};
use std::fmt::Write;

/// How wide lines of comments are.
const WIDTH: usize = 100;

impl Migration {
    /// The statements that do it, after comments that say what they do and why.
    ///
    /// # Errors
    /// When the engine cannot say something.
    pub fn up(&self) -> Result<String> {
        let mut text = self.head("");
        for (n, step) in self.steps.iter().enumerate() {
            comment(&mut text, &format!("{}. {}", n + 1, step.summary), "   ");
        }
        if !self.notes.is_empty() {
            text.push_str("--\n");
            for note in &self.notes {
                comment(&mut text, &format!("Note: {note}."), "  ");
            }
        }
        for (n, step) in self.steps.iter().enumerate() {
            text.push('\n');
            comment(&mut text, &format!("{}. {}", n + 1, step.summary), "   ");
            statements(&mut text, &step.up, self.engine.dialect())?;
        }
        Ok(text)
    }

    /// The statements that undo it, the last step first; where one of them cannot be undone, a statement
    /// that fails and says why.
    ///
    /// # Errors
    /// When the engine cannot say something.
    pub fn down(&self) -> Result<String> {
        let dialect = self.engine.dialect();
        let mut text = self.head("undone");
        if let Some(reason) = self.irreversible() {
            comment(&mut text, &format!("It cannot be undone: {reason}."), "  ");
            text.push('\n');
            let message = format!("the migration {} cannot be undone: {reason}", self.options.id());
            statements(&mut text, &[Statement::Refuse { message: plain(&message) }], dialect)?;
            return Ok(text);
        }
        for (n, step) in self.steps.iter().enumerate().rev() {
            let Down::Statements(down) = &step.down else { continue };
            if down.is_empty() {
                continue;
            }
            text.push('\n');
            comment(&mut text, &format!("Undoes {}. {}", n + 1, step.summary), "   ");
            statements(&mut text, down, dialect)?;
        }
        Ok(text)
    }

    /// Why it cannot be undone, if that is so.
    #[must_use]
    pub fn irreversible(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match &step.down {
            Down::Irreversible(reason) => Some(reason.as_str()),
            Down::Statements(_) => None,
        })
    }

    fn head(&self, undone: &str) -> String {
        let mut text = String::new();
        let undone = if undone.is_empty() { String::new() } else { format!(", {undone}") };
        let title = format!("Migration `{}` for {}{undone}", self.options.name, self.engine);
        comment(&mut text, &title, "");
        if let Some(because) = &self.options.because {
            comment(&mut text, &format!("Why: {because}"), "  ");
        }
        text.push_str("--\n");
        text
    }
}

/// A text without anything that could end a line of a comment.
fn plain(text: &str) -> String {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if ends_line(c) { ' ' } else { c }).collect()
}

/// Lines of a comment; all but the first are indented.
fn comment(text: &mut String, words: &str, indent: &str) {
    let mut line = "--".to_owned();
    for word in plain(words).split(' ').filter(|word| !word.is_empty()) {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = format!("--{indent}");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

fn statements(text: &mut String, all: &[Statement], dialect: &dyn Dialect) -> Result<()> {
    for statement in all {
        writeln!(text, "{};", print(statement, dialect)?).expect("writing to a string");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_comment() {
        let mut text = String::new();
        comment(&mut text, "a\nDROP TABLE x;\r\n b\u{2028}c\u{85}d\u{b}e", "");
        assert_eq!(text, "-- a DROP TABLE x; b c d e\n");
    }

    #[test]
    fn long_comments_have_lines() {
        let mut text = String::new();
        comment(&mut text, &"word ".repeat(40), "   ");
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("-- ") && line.len() <= WIDTH), "{text}");
    }
}
