//! Texts that hurt where somebody forgot to quote them.

use proptest::prelude::*;
use std::ops::Range;

/// What the texts are made of: quotes, escapes, ends of statements, placeholders of three engines,
/// and letters that are long, wide or invisible.
const PIECES: [&str; 34] = [
    "'",
    "''",
    "\"",
    "\"\"",
    "`",
    "\\",
    "\\'",
    "\\\"",
    "\\n",
    "\n",
    "\r",
    "\t",
    " ",
    ";",
    "--",
    "/*",
    "*/",
    "$1",
    "$$",
    "{x:String}",
    "{0}",
    "?",
    ":name",
    "%",
    "%s",
    "@",
    "#",
    ".",
    "NULL",
    "\u{1F980}",
    "e\u{301}",
    "\u{feff}",
    "\u{202e}",
    "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_0123456",
];

/// A text of so many pieces; never with a NUL character.
pub fn random(n_pieces: Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_filter("NUL", |c| *c != '\0').prop_map(String::from),
    ];
    proptest::collection::vec(piece, n_pieces).prop_map(|pieces| pieces.concat())
}
