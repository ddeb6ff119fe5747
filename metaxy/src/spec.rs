//! [`FeatureSpec`]: what a derived struct, the builder and a spec file all become.
//!
//! A spec is the part of a feature that the wire format knows: its JSON form is the one of the
//! Python implementation, and every version is computed from it. What only this program knows of a
//! feature (column types, where it was declared) is added by [`FeatureDefinition`].

mod error;
mod file;
mod json;
mod read;
#[cfg(test)]
mod tests;

pub use error::{SpecError, SpecErrors, SpecProblem};
pub use file::SpecFile;
pub(crate) use file::check_project;

use crate::key::{FeatureKey, FieldKey};
use metaxy_sql::ColumnType;
use std::fmt;

/// The code version of a field that names none (wire format, section 1).
pub const INITIAL_CODE_VERSION: &str = "__metaxy_initial__";

/// A feature: its identity, what it depends on, and the fields that are versioned.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpec {
    /// The name of the feature in every store.
    pub key: FeatureKey,
    /// The columns that identify a record, in order; at least one.
    pub id_columns: Vec<String>,
    /// The features it is computed from, in the order of declaration; none for a root.
    pub deps: Vec<FeatureDep>,
    /// The fields, in the order of declaration.
    pub fields: Vec<FieldSpec>,
    /// Free-form metadata; no version of a record depends on it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// What the feature is.
    pub description: Option<String>,
}

/// A logical part of the payload that is versioned on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The name of the field.
    pub key: FieldKey,
    /// The developer's word for the algorithm that computes it.
    pub code_version: String,
    /// Which upstream fields it is computed from.
    pub deps: FieldDeps,
    /// The field's first name: it is hashed, mapped and labelled under that one (H7).
    ///
    /// Not part of the wire format.
    pub renamed_from: Option<FieldKey>,
}

impl FieldSpec {
    /// A field with the initial code version, whose parents the mappings of the upstreams give.
    #[must_use]
    pub fn new(key: FieldKey) -> Self {
        Self {
            key,
            code_version: INITIAL_CODE_VERSION.to_owned(),
            deps: FieldDeps::Mapped,
            renamed_from: None,
        }
    }

    /// The name under which the field is hashed, mapped and stored: the first it ever had.
    #[must_use]
    pub fn wire_key(&self) -> &FieldKey {
        self.renamed_from.as_ref().unwrap_or(&self.key)
    }
}

/// Which upstream fields a field is computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldDeps {
    /// Whatever the mapping of each upstream gives (an empty list in the wire format).
    Mapped,
    /// Every field of every upstream.
    All,
    /// Exactly these.
    Fields(Vec<FieldDep>),
}

/// Fields of one upstream feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDep {
    /// The upstream feature.
    pub feature: FeatureKey,
    /// Its fields; `None` is all of them.
    pub fields: Option<Vec<FieldKey>>,
}

/// One upstream of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDep {
    /// The upstream feature.
    pub feature: FeatureKey,
    /// Its columns (by their names after `rename`) that come along; `None` is all of them.
    pub select: Option<Vec<String>>,
    /// `(name upstream, name here)` pairs; `None` and an empty list differ in the JSON form alone.
    pub rename: Option<Vec<(String, String)>>,
    /// Which upstream fields a field depends on when it names none.
    pub fields_mapping: FieldsMapping,
    /// Filters over the upstream's columns, after `rename`; all have to hold. `None` and an empty
    /// list differ in the JSON form alone.
    pub filters: Option<Vec<String>>,
    /// How the upstream's records relate to those of the feature.
    pub lineage: Lineage,
    /// Whether a record exists without a row of this upstream.
    pub optional: bool,
}

impl FeatureDep {
    /// A required upstream with all its columns, mapped by name.
    #[must_use]
    pub fn new(feature: FeatureKey) -> Self {
        Self {
            feature,
            select: None,
            rename: None,
            fields_mapping: FieldsMapping::default(),
            filters: None,
            lineage: Lineage::Identity,
            optional: false,
        }
    }

    /// The name that a column of the upstream has here.
    #[must_use]
    pub fn renamed<'a>(&'a self, column: &'a str) -> &'a str {
        self.renames().find(|(from, _)| *from == column).map_or(column, |(_, to)| to)
    }

    /// The name upstream of a column that has this name here.
    #[must_use]
    pub fn original<'a>(&'a self, column: &'a str) -> &'a str {
        self.renames().find(|(_, to)| *to == column).map_or(column, |(from, _)| from)
    }

    /// The `(name upstream, name here)` pairs.
    pub fn renames(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rename.iter().flatten().map(|(from, to)| (from.as_str(), to.as_str()))
    }
}

/// Which upstream fields a field depends on when it names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldsMapping {
    /// The field of the same name, or of the same suffix; if there is none, all that are not excluded.
    Default {
        /// Whether `audio` matches `en/audio`.
        match_suffix: bool,
        /// Upstream fields that are never matched.
        exclude: Vec<FieldKey>,
    },
    /// What is listed here per field of the feature; nothing for the others.
    Specific(Vec<(FieldKey, Vec<FieldKey>)>),
    /// All upstream fields.
    All,
    /// None.
    None,
}

impl Default for FieldsMapping {
    fn default() -> Self {
        Self::Default { match_suffix: false, exclude: Vec::new() }
    }
}

/// How the records of an upstream relate to those of the feature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lineage {
    /// One record here for each record there.
    #[default]
    Identity,
    /// One record here for each group of records there (N:1).
    Aggregation {
        /// The columns that name a group; `None` is the ids of the feature.
        on: Option<Vec<String>>,
    },
    /// Any number of records here for each record there (1:N).
    Expansion {
        /// The columns that name the parent.
        on: Vec<String>,
        /// Kept for the wire format; nothing reads it.
        id_generation_pattern: Option<String>,
    },
}

/// A feature as one program defines it: the spec, and what only the program knows.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDefinition {
    /// What the wire format knows.
    pub spec: FeatureSpec,
    /// The project it belongs to; feature keys are global all the same.
    pub project: String,
    /// Its columns, ids first; `None` when only a spec file is known: types then come from data.
    pub columns: Option<Vec<ColumnSpec>>,
    /// The JSON schema that enters the definition version.
    pub schema: serde_json::Value,
    /// Where the type lives, `crate::module::Type`; empty for a spec file.
    pub type_path: String,
    /// Where it was declared.
    pub origin: Origin,
}

impl FeatureDefinition {
    /// Whether the feature is another project's, which pushes it, and only looked at here.
    #[must_use]
    pub fn is_external(&self) -> bool {
        matches!(self.origin, Origin::External { .. })
    }
}

/// A column of a feature table that the user declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The name in the store.
    pub name: String,
    /// The type of its values.
    pub ty: ColumnType,
    /// Whether it may hold NULL; an id never may.
    pub nullable: bool,
}

/// Where a feature was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In Rust, at this line.
    Source {
        /// The path of the file as the compiler saw it.
        file: String,
        /// The line, from 1.
        line: u32,
    },
    /// In a spec file, at this index of its `features`.
    SpecFile {
        /// The index, from 0.
        index: usize,
    },
    /// Read back from a store.
    Recorded,
    /// In another project: the feature counts neither for the version of a project nor in a push.
    External {
        /// How it is known here: `lock file` for instance.
        from: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { file, line } => write!(f, "{file}:{line}"),
            Self::SpecFile { index } => write!(f, "spec file, features[{index}]"),
            Self::Recorded => f.write_str("recorded in the store"),
            Self::External { from } => f.write_str(from),
        }
    }
}
