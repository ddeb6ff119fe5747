//! The point of it all: one small change after the other on a scratch copy of a folder, and what
//! each of them costs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::compute::{self, SymbolRules};
use crate::pipeline::Pipeline;
use crate::report::Work;
use crate::{Result, scan};

/// What is appended to a Rust file; elsewhere the link alone has an effect.
const ADDITION: &str =
    "\n/// Added by the demo, see <https://doc.rust-lang.org>.\npub fn added_by_the_demo() {}\n";

/// Runs the demo on a copy of `folder` and prints to `out`. The metadata is kept in `store`, which has to
/// be empty; without one, in a DuckDB file beside the copy.
///
/// # Errors
/// If the folder cannot be copied or holds fewer than four files of text, or if the pipeline fails.
pub async fn run(folder: &Path, store: Option<&str>, out: &mut impl Write) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let files = copy(folder, &scratch.path().join("files"))?;
    let beside = || format!("duckdb:{}", scratch.path().join("meta.duckdb").display());
    let mut demo = Demo {
        url: store.map_or_else(beside, str::to_owned),
        folder: scratch.path().join("files"),
        rules: SymbolRules::V1,
        n_steps: 0,
        work: Work::default(),
        out,
    };
    let [edited, reworded, touched, deleted] = files;

    demo.step("First run: everything is new").await?;
    demo.step("Run again: nothing has changed").await?;

    demo.change(&edited, |text| text + ADDITION)?;
    demo.step(&format!("Edit {edited}: one function and one link more")).await?;

    demo.change(&reworded, |text| reword(&reworded, &text))?;
    demo.step(&format!(
        "Reword {reworded}: read again, but counts and symbols stay, and so does the overview"
    ))
    .await?;

    fs::File::options()
        .append(true)
        .open(demo.folder.join(&touched))?
        .set_modified(SystemTime::now())?;
    demo.step(&format!("Touch {touched}: a new time, the same content")).await?;

    fs::remove_file(demo.folder.join(&deleted))?;
    demo.step(&format!("Delete {deleted}: its records go with it")).await?;

    demo.rules = SymbolRules::V2;
    demo.step("Bump the code version of the symbols: all are found anew, but few of them differ")
        .await?;

    writeln!(demo.out, "All {} runs together: {}", demo.n_steps, demo.work)?;
    Ok(())
}

struct Demo<'a, W> {
    folder: PathBuf,
    url: String,
    rules: SymbolRules,
    n_steps: u32,
    work: Work,
    out: &'a mut W,
}

impl<W: Write> Demo<'_, W> {
    /// Runs the pipeline as a program of its own would: the store is opened and closed each time.
    async fn step(&mut self, title: &str) -> Result<()> {
        self.n_steps += 1;
        writeln!(self.out, "{}. {title}", self.n_steps)?;
        let report = Pipeline::open(&self.folder, &self.url, self.rules).await?.run().await?;
        self.work += report.work();
        writeln!(self.out, "{report}\n")?;
        Ok(())
    }

    fn change(&self, path: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = self.folder.join(path);
        fs::write(&path, change(fs::read_to_string(&path)?))?;
        Ok(())
    }
}

/// Copies the files of a folder with their times, and picks four of them to change: Rust source
/// first, then Markdown, then any other text.
fn copy(from: &Path, to: &Path) -> Result<[String; 4]> {
    let mut texts = Vec::new();
    for path in scan::paths(from)? {
        let target = to.join(&path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let content = fs::read(from.join(&path))?;
        fs::write(&target, &content)?;
        let modified = fs::metadata(from.join(&path))?.modified()?;
        fs::File::options().append(true).open(&target)?.set_modified(modified)?;
        if compute::as_text(&content).is_some_and(|text| reword(&path, text) != text) {
            texts.push(path);
        }
    }
    texts.sort_by_key(|path| (!path.ends_with(".rs"), !path.ends_with(".md")));
    texts.truncate(4);
    let too_few = || format!("`{}` has fewer than four files of text to change", from.display());
    texts.try_into().map_err(|_| too_few().into())
}

/// Turns the first word of a comment, or of prose, to capitals: another content, with the same
/// counts, symbols and links.
fn reword(path: &str, text: &str) -> String {
    let is_prose = |line: &str| !path.ends_with(".rs") || line.starts_with("//");
    let mut is_done = false;
    let reworded = text.split_inclusive('\n').map(|line| {
        let changed = if is_done || !is_prose(line) { None } else { first_word_in_capitals(line) };
        is_done |= changed.is_some();
        changed.unwrap_or_else(|| line.to_owned())
    });
    reworded.collect()
}

/// The line with its first word in capitals; `None` if it has none, or has it so already.
fn first_word_in_capitals(line: &str) -> Option<String> {
    let start = line.find(|c: char| c.is_ascii_alphabetic())?;
    let (before, rest) = line.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let capitals = word.to_ascii_uppercase();
    (capitals != word).then(|| format!("{before}{capitals}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &str) {
        assert_eq!(reword(path, text), expected);
    }

    #[test]
    fn one_word_of_prose_is_reworded() {
        check(
            "a.rs",
            "fn the() {}\n// The end, the.\n// And",
            "fn the() {}\n// THE end, the.\n// And",
        );
        check("a.md", "# A\n\nThe end.\n", "# A\n\nTHE end.\n");
        check("a.rs", "fn f() {}", "fn f() {}");
    }
}
