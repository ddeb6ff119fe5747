//! [`Look`]: a graph goes in, a picture of it comes out: a tree for a terminal, Mermaid, DOT, SVG, or
//! one HTML page that needs nothing else.
//!
//! ```
//! use metaxy::builder::{FeatureBuilder, FieldBuilder};
//! use metaxy::look::Look;
//! use metaxy::{FeatureGraph, ScalarType};
//!
//! let graph = FeatureGraph::builder()
//!     .feature(FeatureBuilder::new("video").id("id", ScalarType::Text).field("frames"))
//!     .feature(
//!         FeatureBuilder::new("faces")
//!             .id("id", ScalarType::Text)
//!             .dep("video")
//!             .field(FieldBuilder::new("boxes").code_version("2").dep("video", ["frames"])),
//!     )
//!     .build()?;
//! let tree = "\
//! video
//! ├── · frames
//! └── faces
//!     └── · boxes 2 ← video.frames
//! ";
//! assert_eq!(Look::new(&graph).tree(), tree);
//! # Ok::<_, metaxy::graph::GraphErrors>(())
//! ```
//!
//! What is shown is decided once, in `picture`; each form is in a file of its own and only writes down
//! a picture. SVG and the page share one drawing (`layout`, `svg`), which the page's script makes
//! alive. Nothing here reads a store: what one says comes in as [`State`], and what a comparison of two
//! graphs says as [`Difference`].

mod dot;
mod html;
mod layout;
mod mermaid;
mod palette;
mod picture;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::Counts;
use crate::key::{FeatureKey, FieldKey};
use crate::version::DEFAULT_HASH_TRUNCATION_LENGTH;
use picture::Picture;
use std::collections::BTreeMap;

/// What is to be seen of a graph, and how.
#[derive(Clone, Debug)]
#[must_use = "nothing is shown before a form is asked for"]
pub struct Look<'g> {
    graph: &'g FeatureGraph,
    title: Option<String>,
    direction: Direction,
    fields: bool,
    versions: bool,
    code_versions: bool,
    hash_truncation_length: usize,
    around: Vec<Around>,
    states: BTreeMap<FeatureKey, State>,
    difference: Option<Difference>,
}

/// Where downstream is.
///
/// A tree has its first feature on top: with [`Right`](Self::Right) and [`Down`](Self::Down) it begins
/// at the roots, with the other two at what nothing is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// To the right of upstream.
    #[default]
    Right,
    /// Below.
    Down,
    /// To the left.
    Left,
    /// Above.
    Up,
}

impl Direction {
    fn is_horizontal(self) -> bool {
        matches!(self, Self::Right | Self::Left)
    }

    fn is_reversed(self) -> bool {
        matches!(self, Self::Left | Self::Up)
    }
}

/// A feature and so many steps up and down from it; `None` is all the way.
#[derive(Clone, Debug)]
struct Around {
    feature: FeatureKey,
    up: Option<usize>,
    down: Option<usize>,
}

/// What a store says about a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The records that are there; `None` if nobody has counted.
    pub records: Option<u64>,
    /// To be computed for the first time.
    pub new: u64,
    /// To be computed again.
    pub stale: u64,
    /// There, but their input is itself to be computed again first.
    pub blocked: u64,
    /// Not there yet, and their input is itself to be computed again first.
    pub waiting: u64,
    /// Whose input is gone.
    pub orphaned: u64,
}

impl From<&Counts> for State {
    /// Of an expansion these are counts of parents, and so is the number of records then.
    fn from(counts: &Counts) -> Self {
        let Counts { new, stale, orphaned, blocked, waiting, unchanged, .. } = *counts;
        let records = Some(stale + orphaned + blocked + unchanged);
        Self { records, new, stale, blocked, waiting, orphaned }
    }
}

impl State {
    /// What is to be done about, by name, without what is none.
    fn open(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("new", self.new),
            ("stale", self.stale),
            ("blocked", self.blocked),
            ("waiting", self.waiting),
            ("orphaned", self.orphaned),
        ];
        all.into_iter().filter(|(_, n)| *n > 0)
    }

    /// In words: `1,204 records, 3 stale`.
    fn summary(&self) -> String {
        let records = self.records.map(|n| format!("{} records", text::number(n)));
        let open = self.open().map(|(name, n)| format!("{} {name}", text::number(n)));
        let parts: Vec<String> = records.into_iter().chain(open).collect();
        if parts.is_empty() { "up to date".to_owned() } else { parts.join(", ") }
    }
}

/// How a graph differs from the one before it.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The graph before: what is removed is shown as it was there.
    pub before: FeatureGraph,
    /// The features that differ.
    pub features: BTreeMap<FeatureKey, Mark>,
    /// The fields that differ.
    pub fields: BTreeMap<(FeatureKey, FieldKey), Mark>,
}

impl Difference {
    /// A comparison with this graph in which nothing differs yet.
    #[must_use]
    pub fn with(before: FeatureGraph) -> Self {
        Self { before, features: BTreeMap::new(), fields: BTreeMap::new() }
    }
}

/// In which way a feature or a field differs from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was not there.
    Added,
    /// It is no longer there.
    Removed,
    /// Its own definition differs.
    Changed,
    /// Its version differs because of something upstream alone.
    Upstream,
}

impl Mark {
    const ALL: [Self; 4] = [Self::Added, Self::Removed, Self::Changed, Self::Upstream];

    /// One character for where there is no colour, and for those who see none.
    fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Upstream => '^',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Upstream => "upstream",
        }
    }
}

impl<'g> Look<'g> {
    /// The whole graph with its fields and their code versions, from left to right.
    pub fn new(graph: &'g FeatureGraph) -> Self {
        Self {
            graph,
            title: None,
            direction: Direction::default(),
            fields: true,
            versions: false,
            code_versions: true,
            hash_truncation_length: DEFAULT_HASH_TRUNCATION_LENGTH,
            around: Vec::new(),
            states: BTreeMap::new(),
            difference: None,
        }
    }

    /// The title of the page and of the drawing; the project without this.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Where downstream is; to the right without this.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Whether fields are shown, or features alone. They are without this.
    pub fn fields(mut self, shown: bool) -> Self {
        self.fields = shown;
        self
    }

    /// Whether versions of features and fields are shown. They are not without this; the page has them
    /// in its side panel in any case.
    pub fn versions(mut self, shown: bool) -> Self {
        self.versions = shown;
        self
    }

    /// Whether code versions are shown, but for the initial one. They are without this.
    pub fn code_versions(mut self, shown: bool) -> Self {
        self.code_versions = shown;
        self
    }

    /// The length of the versions: a setting of the store that they are compared with.
    pub fn hash_truncation_length(mut self, length: usize) -> Self {
        self.hash_truncation_length = length;
        self
    }

    /// Shows this feature, and what is at most so many steps up and down from it; `None` is all the
    /// way. Several calls show what each of them shows. Call it after [`difference`](Self::difference)
    /// for a feature that has been removed.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`](crate::Error::UnknownFeature) with the nearest key that there is.
    pub fn around(
        mut self,
        feature: &FeatureKey,
        up: Option<usize>,
        down: Option<usize>,
    ) -> Result<Self> {
        let is_removed = |d: &Difference| d.before.get(feature).is_some();
        if !self.difference.as_ref().is_some_and(is_removed) {
            self.graph.expect(feature)?;
        }
        self.around.push(Around { feature: feature.clone(), up, down });
        Ok(self)
    }

    /// What a store says about a feature.
    pub fn state(mut self, feature: &FeatureKey, state: State) -> Self {
        self.states.insert(feature.clone(), state);
        self
    }

    /// How the graph differs from the one before it.
    pub fn difference(mut self, difference: Difference) -> Self {
        self.difference = Some(difference);
        self
    }

    /// A tree for a terminal. What several features lead to is shown in full where it first occurs.
    #[must_use]
    pub fn tree(&self) -> String {
        tree::write(&Picture::of(self))
    }

    /// A flowchart of Mermaid: a subgraph per feature, a node per field.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::write(&Picture::of(self))
    }

    /// A graph for Graphviz: a table per feature, with a port per field.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::write(&Picture::of(self))
    }

    /// A drawing, light or dark as whoever looks at it prefers.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::write(&Picture::of(self))
    }

    /// One page that is searched, zoomed and followed along its fields, and loads nothing.
    #[must_use]
    pub fn html(&self) -> String {
        html::write(&Picture::of(self))
    }
}
