//! Texts that hurt where somebody forgot to quote them.

use proptest::prelude::*;
use std::ops::Range;

/// Quotes, escapes, ends of statements, placeholders of several engines, words of SQL, and letters that are
/// long, wide or invisible. None is empty, and no two are the same but for their case.
pub const HURTFUL: [&str; 49] = [
    "'",
    "''",
    "\"",
    "\"\"",
    "`",
    "``",
    "\\",
    "\\'",
    "\\\"",
    "\\`",
    "\\n",
    "\n",
    "\r",
    "a\nb",
    "a\r\nb",
    "\t",
    " ",
    " a ",
    ";",
    "--",
    "/*",
    "*/",
    "; DROP TABLE a; --",
    "$1",
    "$$",
    "{x:String}",
    "{0}",
    "?",
    ":name",
    "%",
    "%s",
    "@",
    "@stage",
    "#",
    ".",
    "a.b",
    "NULL",
    "select",
    "E'\\n'",
    "U&'\\0041'",
    "x'00'",
    "[1]",
    "\u{1F980}",
    "e\u{301}",
    "\u{e9}",
    "\u{feff}",
    "\u{202e}",
    "()",
    "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_0123456",
];

/// A text of so many of these pieces, or of any letters; never with a NUL character.
pub fn random(n_pieces: Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(HURTFUL.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_filter("NUL", |c| *c != '\0').prop_map(String::from),
    ];
    proptest::collection::vec(piece, n_pieces).prop_map(|pieces| pieces.concat())
}
