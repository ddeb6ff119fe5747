//! "Did you mean": the name that is nearest to one that does not exist.

/// The candidate with the fewest edits, if a third of the letters or fewer would have to change.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = name.chars().count() / 3;
    let with_edits = candidates.into_iter().map(|candidate| (edits(name, candidate), candidate));
    with_edits.filter(|(edits, _)| *edits <= limit).min().map(|(_, candidate)| candidate)
}

/// ", the nearest is `name`" or nothing, to be put behind a message.
pub(crate) fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", the nearest is `{name}`"))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Three rows of the usual table: a swap looks back by two.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typing_errors_and_nothing_else() {
        let features = ["raw/video", "raw/audio", "crop"];
        assert_eq!(nearest("raw/vidoe", features), Some("raw/video"));
        assert_eq!(nearest("crops", features), Some("crop"));
        assert_eq!(nearest("video", features), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn counts_edits() {
        for (a, b, n) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((edits(a, b), edits(b, a)), (n, n), "{a} {b}");
        }
    }
}
