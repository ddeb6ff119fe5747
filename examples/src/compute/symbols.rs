//! The items that Rust source defines, found with a lexer that knows comments and literals.

/// What counts as a symbol. A new rule is a new algorithm, and so a new code version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SymbolRules {
    /// Functions, structs, enums and traits.
    #[default]
    V1,
    /// Constants, statics and type aliases too.
    V2,
}

impl SymbolRules {
    /// The code version of the field `symbols` with these rules.
    #[must_use]
    pub const fn code_version(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    const fn keywords(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &["fn", "struct", "enum", "trait"],
            Self::V2 => &["fn", "struct", "enum", "trait", "const", "static", "type"],
        }
    }
}

/// The items that a file defines, as `keyword name`, in the order of the text. Files that are no
/// Rust source define nothing.
#[must_use]
pub fn symbols(path: &str, text: &str, rules: SymbolRules) -> Vec<String> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let mut symbols = Vec::new();
    let mut keyword = None;
    let mut before = None;
    for token in Lexer(text) {
        match token {
            // `*const T` is a type, and `<const N: usize>` a parameter.
            Token::Word("const") if matches!(before, Some(Token::Mark('*' | '<' | ','))) => {}
            // Of `const fn name`, the last keyword says what it is.
            Token::Word(word) if rules.keywords().contains(&word) => keyword = Some(word),
            Token::Word("mut") => {}
            Token::Word(name) => {
                let found = keyword.take().filter(|_| name != "_");
                symbols.extend(found.map(|keyword| format!("{keyword} {name}")));
            }
            // `fn(T)` is a type: between a keyword and the name that it defines stands nothing.
            Token::Mark(_) => keyword = None,
        }
        before = Some(token);
    }
    symbols
}

#[derive(Clone, Copy)]
enum Token<'a> {
    /// A keyword, a name or a number.
    Word(&'a str),
    /// Any other character that is not white space.
    Mark(char),
}

/// What is left of a text; gives its tokens without comments, strings, characters and lifetimes.
struct Lexer<'a>(&'a str);

impl<'a> Lexer<'a> {
    /// Goes on behind the first `end`; to the end of the text if there is none.
    fn skip_past(&mut self, end: &str) {
        self.0 = self.0.split_once(end).map_or("", |(_, after)| after);
    }

    /// Goes on behind the quote that ends a literal with escapes.
    fn skip_quoted(&mut self, quote: char) {
        let mut escaped = false;
        let end = self.0.find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        self.0 = end.map_or("", |end| &self.0[end + 1..]);
    }

    /// Goes on behind a comment that may hold others.
    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while let Some(at) = self.0.find(['/', '*']) {
            let rest = &self.0[at..];
            let step = match rest.get(..2) {
                Some("/*") => 1,
                Some("*/") => -1,
                _ => 0,
            };
            depth += step;
            self.0 = &rest[if step == 0 { 1 } else { 2 }..];
            if depth == 0 {
                return;
            }
        }
        self.0 = "";
    }

    fn take_word(&mut self) -> &'a str {
        let end = self.0.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// What follows a quote: a character or a lifetime.
    fn skip_character_or_lifetime(&mut self) {
        let mut chars = self.0.chars();
        let (first, second) = (chars.next(), chars.next());
        if first == Some('\\') || second == Some('\'') {
            self.skip_quoted('\'');
        } else {
            self.take_word();
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.0 = self.0.trim_start();
            let first = self.0.chars().next()?;
            if self.0.starts_with("//") {
                self.skip_past("\n");
            } else if self.0.starts_with("/*") {
                self.skip_block_comment();
            } else if first == '_' || first.is_alphanumeric() {
                let start = self.0;
                let word = self.take_word();
                let hashes = self.0.len() - self.0.trim_start_matches('#').len();
                if !matches!(word, "r" | "br" | "cr") {
                    return Some(Token::Word(word));
                }
                if !self.0[hashes..].starts_with('"') {
                    // `r#type` is a name; with its prefix nobody takes it for the keyword.
                    self.0 = &self.0[hashes..];
                    self.take_word();
                    return Some(Token::Word(&start[..start.len() - self.0.len()]));
                }
                self.0 = &self.0[hashes + 1..];
                self.skip_past(&format!("\"{}", "#".repeat(hashes)));
            } else {
                self.0 = &self.0[first.len_utf8()..];
                match first {
                    '"' => self.skip_quoted('"'),
                    '\'' => self.skip_character_or_lifetime(),
                    _ => return Some(Token::Mark(first)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(symbols("a.rs", text, SymbolRules::V2), expected, "{text:?}");
    }

    #[test]
    fn definitions_are_found() {
        check("pub fn a() {}", &["fn a"]);
        check("pub(crate) struct A<'a>(&'a str); enum B {}", &["struct A", "enum B"]);
        check("pub trait T { type X; const fn f() {} }", &["trait T", "type X", "fn f"]);
        check("static mut S: u8 = 0; const _: () = ();", &["static S"]);
        check("fn r#type() {}", &["fn r#type"]);
    }

    #[test]
    fn uses_are_no_definitions() {
        check("let f: fn(u8) = *p as *const T; struct A<const N: usize>;", &["struct A"]);
        check("let s: &'static str = 'a'.into();", &[]);
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        check("// fn a\n/* fn b /* fn c */ fn d */ fn e() {}", &["fn e"]);
        check(r#"let s = "fn a \" fn b"; fn c() {}"#, &["fn c"]);
        check("let s = r#\"fn a \" fn b\"#; fn c() {}", &["fn c"]);
        check(r"let c = ['\'', '\\', 'x']; fn a() {}", &["fn a"]);
    }

    #[test]
    fn text_that_breaks_off_ends_the_file() {
        for text in ["\"fn a", "/* fn a", "r#\"fn a", "'\\", "fn", "'", "r#", "é fn"] {
            check(text, &[]);
        }
    }

    #[test]
    fn old_rules_find_less() {
        let text = "struct A; const B: u8 = 0;";
        assert_eq!(symbols("a.rs", text, SymbolRules::V1), ["struct A"]);
        assert_eq!(symbols("a.md", text, SymbolRules::V2), [""; 0]);
    }
}
