//! Counts of lines, words and characters.

use unicode_segmentation::UnicodeSegmentation;

/// How much text there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// The number of lines; a last line without an end counts.
    pub lines: u64,
    /// The number of words, by the rules of Unicode: `can't` is one.
    pub words: u64,
    /// The number of characters as a reader counts them: `é` is one, however it is encoded.
    pub characters: u64,
    /// The length of the longest line, in characters.
    pub longest_line: u64,
}

/// Counts what is in `text`.
#[must_use]
pub fn text_counts(text: &str) -> TextCounts {
    let mut counts = TextCounts::default();
    for line in text.lines() {
        let characters = line.graphemes(true).count() as u64;
        counts.lines += 1;
        counts.words += line.unicode_words().count() as u64;
        counts.characters += characters;
        counts.longest_line = counts.longest_line.max(characters);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, [lines, words, characters, longest_line]: [u64; 4]) {
        assert_eq!(
            text_counts(text),
            TextCounts { lines, words, characters, longest_line },
            "{text:?}"
        );
    }

    #[test]
    fn text_is_counted_as_a_reader_would() {
        check("", [0, 0, 0, 0]);
        check("one\n", [1, 1, 3, 3]);
        check("I can't.\r\n\nYou can", [3, 4, 15, 8]);
        // One word of four characters, the last of them made of two code points.
        check("cafe\u{301}", [1, 1, 4, 4]);
        check("数据 версия", [1, 3, 9, 9]);
    }
}
