//! A text of SQL that somebody has written -> its statements, each with its words.
//!
//! The tokens are those of the crate `sqlparser`: a semicolon in a text, in a name or in a comment
//! ends nothing.

use crate::error::{Error, Result};
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// A statement of a text.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// It, with comments before it, without its semicolon.
    #[cfg_attr(
        not(any(test, feature = "clickhouse")),
        expect(dead_code, reason = "the other engines take a text as a whole")
    )]
    pub(crate) text: String,
    /// What it is made of, without spaces and comments.
    pub(crate) tokens: Vec<Token>,
}

/// The statements of a text, in order.
///
/// # Errors
/// When a text, a name or a comment in it does not end.
pub(crate) fn statements(sql: &str, dialect: &dyn Dialect) -> Result<Vec<Statement>> {
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| Error::Script { problem: error.to_string() })?;
    let mut lines = vec![0];
    lines.extend(sql.match_indices('\n').map(|(at, _)| at + 1));
    let offset = |at: Location| {
        let line = usize::try_from(at.line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
        let line = line.copied().unwrap_or(sql.len());
        let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
        let rest = sql[line..].char_indices().nth(column).map_or(sql.len() - line, |(i, _)| i);
        line + rest
    };
    let mut statements = Vec::new();
    let mut start = 0;
    let mut words = Vec::new();
    for token in tokens {
        match token.token {
            Token::SemiColon => {
                let end = offset(token.span.start);
                if !words.is_empty() {
                    let text = sql[start..end].trim().to_owned();
                    statements.push(Statement { text, tokens: std::mem::take(&mut words) });
                }
                start = end + 1;
            }
            Token::Whitespace(_) | Token::EOF => {}
            other => words.push(other),
        }
    }
    if !words.is_empty() {
        statements.push(Statement { text: sql[start..].trim().to_owned(), tokens: words });
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::{ClickHouseDialect, PostgreSqlDialect};

    fn texts(sql: &str, dialect: &dyn Dialect) -> Vec<String> {
        statements(sql, dialect).expect("statements").into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn semicolons_in_texts_names_and_comments_end_nothing() {
        let sql = "-- a; b\nSELECT ';\u{e9}\n;' AS \"x;\"; /* ; */\n;\n\u{e9} 2;\n-- the end;\n";
        assert_eq!(
            texts(sql, &ClickHouseDialect {}),
            ["-- a; b\nSELECT ';\u{e9}\n;' AS \"x;\"", "\u{e9} 2"]
        );
        let sql = "DO $$ BEGIN x; END $$; SELECT 1";
        assert_eq!(texts(sql, &PostgreSqlDialect {}), ["DO $$ BEGIN x; END $$", "SELECT 1"]);
        assert_eq!(
            texts(r"SELECT 'it\'s; so'; b", &ClickHouseDialect {}),
            [r"SELECT 'it\'s; so'", "b"]
        );
        assert_eq!(texts(" -- nothing\n ;", &ClickHouseDialect {}), [""; 0]);
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        let error = statements("SELECT 'a", &ClickHouseDialect {}).expect_err("no end");
        assert!(error.to_string().contains("cannot be read as SQL"), "{error}");
    }
}
