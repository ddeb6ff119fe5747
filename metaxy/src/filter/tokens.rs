//! A text -> tokens of the language and nothing else.
//!
//! The tokens are those of the crate `sqlparser`, which knows far more SQL than there is here: what
//! does not belong to the language is refused in this file, and words that mean something in SQL
//! only are taken for the names of columns.

use super::error::{FilterError, first};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};
use std::ops::Range;

/// How many names, operators and brackets a filter has at the most: a limit on how deep a tree
/// can become. Constants and commas do not count, so that a list may be long.
const MAX_PARTS: usize = 1_000;

/// Names as in standard SQL, and the rest by default.
#[derive(Debug)]
pub(super) struct Language;

impl Dialect for Language {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }
}

/// The tokens of a filter, without blanks.
pub(super) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, FilterError> {
    let mut tokens = Tokenizer::new(&Language, text)
        .tokenize_with_location()
        .map_err(|error| unreadable(text, error.location))?;
    tokens.retain(|token| !is_blank(&token.token));
    let mut n_parts = 0;
    for i in 0..tokens.len() {
        let token = &tokens[i].token;
        if let Some(hint) = refused(token) {
            let place = range(text, tokens[i].span);
            let message = match token {
                Token::Whitespace(_) => "a filter has no comments".to_owned(),
                _ => not_part(&text[place.clone()]),
            };
            return Err(FilterError::new(text, place, message).hint(hint));
        }
        if !matches!(token, Token::Comma | Token::Number(..) | Token::SingleQuotedString(_)) {
            n_parts += 1;
        }
        if n_parts > MAX_PARTS {
            let message = format!("the filter has more than {MAX_PARTS} names and operators");
            return Err(FilterError::new(text, range(text, tokens[i].span), message)
                .hint("write `x IN (..)` in place of a long chain of `x = .. OR x = ..`"));
        }
        let next = tokens.get(i + 1);
        let types_a_text = matches!(next.map(|t| &t.token), Some(Token::SingleQuotedString(_)));
        if let Token::Word(word) = &mut tokens[i].token
            && !is_keyword(word.keyword, types_a_text)
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
    Ok(tokens)
}

fn is_blank(token: &Token) -> bool {
    matches!(
        token,
        Token::EOF | Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab)
    )
}

/// Whether a word means something in the language; all others are names.
pub(super) fn is_keyword(word: Keyword, types_a_text: bool) -> bool {
    use Keyword as K;
    match word {
        K::DATE | K::TIMESTAMP => types_a_text,
        word => matches!(
            word,
            K::AND
                | K::OR
                | K::NOT
                | K::IS
                | K::NULL
                | K::TRUE
                | K::FALSE
                | K::IN
                | K::BETWEEN
                | K::LIKE
                | K::ESCAPE
        ),
    }
}

/// That something SQL has is missing here.
pub(super) fn not_part(what: &str) -> String {
    format!("`{}` is not part of the filter language", first(what, 40))
}

/// What to do about a token that is none of the language.
fn refused(token: &Token) -> Option<&'static str> {
    use Token as T;
    Some(match token {
        T::Word(_)
        | T::Number(_, false)
        | T::SingleQuotedString(_)
        | T::Comma
        | T::DoubleEq
        | T::Eq
        | T::Neq
        | T::Lt
        | T::Gt
        | T::LtEq
        | T::GtEq
        | T::Minus
        | T::LParen
        | T::RParen
        | T::Period => return None,
        T::SemiColon => "a filter is one condition; leave out `;` and what comes after it",
        T::Whitespace(_) => "leave it out",
        T::Placeholder(_) => "a filter has no parameters; write the constant itself",
        T::DoubleColon => {
            "a filter has no casts; write a constant of the column's type, as `DATE '2024-01-31'`"
        }
        T::Plus | T::Mul | T::Div | T::Mod | T::StringConcat | T::DuckIntDiv => {
            "a filter has no arithmetic; compute the constant before"
        }
        T::Number(..) => "write the number with digits only",
        T::Tilde | T::DoubleTilde | T::TildeAsterisk => "a text is matched with LIKE",
        _ => super::ALLOWED,
    })
}

/// A text in which not even tokens can be told apart.
fn unreadable(text: &str, at: Location) -> FilterError {
    let start = offset(text, at);
    let rest = &text[start..];
    // The end of a comment is missed at the end of the text.
    if let Some(start) = text.rfind("/*").filter(|_| rest.is_empty()) {
        return FilterError::new(text, start..text.len(), "a filter has no comments")
            .hint("leave it out");
    }
    let (what, close) = match rest.chars().next() {
        Some('\'') => ("the text", '\''),
        Some('"') => ("the name", '"'),
        _ => {
            return FilterError::new(text, start..text.len(), "this cannot be read")
                .hint(super::ALLOWED);
        }
    };
    let message = format!("{what} that begins here has no end");
    let hint = format!("close it with `{close}`; inside of it, write `{close}{close}`");
    FilterError::new(text, start..text.len(), message).hint(hint)
}

/// The bytes of a span; all of the text if the parser does not know.
pub(super) fn range(text: &str, span: Span) -> Range<usize> {
    if span == Span::empty() {
        return 0..text.len();
    }
    offset(text, span.start)..offset(text, span.end)
}

/// The byte at a line and a column, which count characters from 1.
pub(super) fn offset(text: &str, at: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (i, c) in text.char_indices() {
        if (line, column) >= (at.line, at.column) {
            return i;
        }
        if c == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    text.len()
}
