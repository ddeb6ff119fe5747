//! The features of the pipeline: one struct each, and what each field is computed from.

use chrono::{DateTime, NaiveDate, Utc};
use metaxy::prelude::*;

/// A file of the folder. The only feature that looks at the disk to learn what changed.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "files/file")]
pub struct File {
    /// The path inside the folder, with `/` on every platform.
    #[metaxy(id)]
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// When the file was last written.
    pub modified: DateTime<Utc>,
    /// The permission bits; where there are none, only whether the file may be written.
    pub mode: u32,
    /// What is in the file: its version is a hash of the content.
    #[metaxy(field)]
    pub content: DataVersion,
    /// What the file system says about the file: its version is made of size, time and mode.
    #[metaxy(field)]
    pub attributes: DataVersion,
}

/// How much text is in a file.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "files/text", deps(File))]
pub struct Text {
    /// As in [`File`].
    #[metaxy(id)]
    pub path: String,
    /// Whether the file is text at all; all counts of other files are 0.
    pub is_text: bool,
    /// The number of lines.
    pub lines: u64,
    /// The number of words, by the rules of Unicode.
    pub words: u64,
    /// The number of characters as a reader counts them.
    pub characters: u64,
    /// The length of the longest line, in characters.
    pub longest_line: u64,
    /// All of the counts together.
    #[metaxy(field, code_version = "1", deps(File::content))]
    pub counts: DataVersion,
}

/// What a file defines, and where it points to.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "files/index", deps(File))]
pub struct Index {
    /// As in [`File`].
    #[metaxy(id)]
    pub path: String,
    /// The items that Rust source defines, in the order of the file: `fn main`.
    pub symbol_names: Vec<String>,
    /// The targets of the links in Markdown, doc comments included.
    pub link_targets: Vec<String>,
    /// The version of the symbols is a hash of them, so what reads them is computed again only when
    /// they differ, and not after every edit of the file.
    #[metaxy(field, code_version = "1", deps(File::content))]
    pub symbols: DataVersion,
    /// The version of the links is a hash of them.
    #[metaxy(field, code_version = "1", deps(File::content))]
    pub links: DataVersion,
}

/// How old and how large a file is. Needs no look into the file.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "files/freshness", deps(File))]
pub struct Freshness {
    /// As in [`File`].
    #[metaxy(id)]
    pub path: String,
    /// The day on which the file was last written.
    pub day: NaiveDate,
    /// The size class.
    pub size_class: SizeClass,
    /// Both together.
    #[metaxy(field, code_version = "1", deps(File::attributes))]
    pub age: DataVersion,
}

/// The order of magnitude of a file's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Column)]
pub enum SizeClass {
    /// No bytes at all.
    Empty,
    /// Below 4 KiB.
    Small,
    /// Below 64 KiB.
    Medium,
    /// Anything else.
    Large,
}

/// One line on each file, from its text and its symbols; its links do not matter here.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "files/overview", deps(Text(select(words, lines)), Index(select(symbol_names))))]
pub struct Overview {
    /// As in [`File`].
    #[metaxy(id)]
    pub path: String,
    /// How long reading takes, at 200 words a minute.
    pub minutes_to_read: f64,
    /// How many items a hundred lines define.
    pub symbols_per_100_lines: f64,
    /// Both together.
    #[metaxy(field, code_version = "1", deps(Text::counts, Index::symbols))]
    pub measures: DataVersion,
}
