//! [`GraphErrors`]: everything that is wrong with a set of features, with the line of each.

use super::check::{SYSTEM_COLUMNS, SYSTEM_TABLES};
use crate::filter::FilterError;
use crate::key::{FeatureKey, FieldKey, KeyError};
use crate::nearest::hint;
use crate::spec::{FeatureDefinition, Origin};
use metaxy_sql::ColumnType;
use std::fmt;

/// All mistakes of a graph; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphErrors {
    errors: Vec<GraphError>,
}

impl GraphErrors {
    pub(crate) fn new(errors: Vec<GraphError>) -> Self {
        debug_assert!(!errors.is_empty(), "an error without a mistake");
        Self { errors }
    }

    /// The mistakes, in the order of the features.
    pub fn iter(&self) -> std::slice::Iter<'_, GraphError> {
        self.errors.iter()
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.errors.len()
    }
}

impl IntoIterator for GraphErrors {
    type Item = GraphError;
    type IntoIter = std::vec::IntoIter<GraphError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a GraphErrors {
    type Item = &'a GraphError;
    type IntoIter = std::slice::Iter<'a, GraphError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for GraphErrors {}

/// One mistake: its own text. Several: their number, then one per line.
impl fmt::Display for GraphErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.errors[..] {
            [error] => write!(f, "{error}"),
            errors => {
                write!(f, "the feature graph has {} mistakes:", errors.len())?;
                errors.iter().try_for_each(|error| write!(f, "\n- {error}"))
            }
        }
    }
}

/// A feature and where it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSite {
    /// The feature.
    pub key: FeatureKey,
    /// Where it was declared.
    pub origin: Origin,
}

impl FeatureSite {
    pub(crate) fn of(definition: &FeatureDefinition) -> Self {
        Self { key: definition.spec.key.clone(), origin: definition.origin.clone() }
    }
}

impl fmt::Display for FeatureSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.key, self.origin)
    }
}

/// What is wrong with a feature, or with several together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A text is no key; only at run time can one come this far.
    #[error("`{feature}` ({origin}): {error}")]
    Key {
        /// The key of the feature, or what was given for it.
        feature: String,
        /// Where the feature was declared.
        origin: Origin,
        /// The text and what is wrong with it.
        error: KeyError,
    },
    /// A feature of a lock file is another one than the file says.
    #[error(
        "the version {locked} of {feature} is locked, but the definitions that are there give \
         {computed}; make the lock file anew, or undo what was changed in it"
    )]
    LockedVersion {
        /// The feature, or a field of it.
        feature: FeatureSite,
        /// As the file says.
        locked: String,
        /// As it is computed.
        computed: String,
    },
    /// A feature that is locked for one project is declared in another one.
    #[error(
        "{feature} is declared in the project `{project}`, but the lock file has it in `{locked}`; \
         give one of them another key, or, if it stands for the other, `project = \"{locked}\"`"
    )]
    LockedElsewhere {
        /// The feature.
        feature: FeatureSite,
        /// The project that it is declared in.
        project: String,
        /// The project of the lock file.
        locked: String,
    },
    /// A feature that stands for one of another project is not like it.
    #[error(
        "{feature} stands for a feature of the project `{project}`, but {problem} in the lock file; \
         declare it as it is there"
    )]
    UnlikeLocked {
        /// The feature.
        feature: FeatureSite,
        /// The project of the lock file.
        project: String,
        /// What it has and the other does not.
        problem: String,
    },
    /// A project has a name that no spec file and no lock file can say.
    #[error(
        "`{project}` is not a project: {reason}; it is that of {}: name another with `project = \"..\"`, without which a struct has the name of its package",
        list(features)
    )]
    Project {
        /// The name.
        project: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The features that belong to it.
        features: Vec<FeatureSite>,
    },
    /// A code version has a `|` in it.
    #[error(
        "the code version `{code_version}` of field `{field}` of {feature} contains `|`, which separates the parts of a pre-image; use another character"
    )]
    CodeVersion {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// The code version.
        code_version: String,
    },
    /// Several features have one key.
    #[error("the key `{key}` is used by {} features: {}; give each its own", origins.len(), list(origins))]
    DuplicateKey {
        /// The key.
        key: FeatureKey,
        /// Where the features were declared.
        origins: Vec<Origin>,
    },
    /// Several features have one table.
    #[error(
        "the table `{table}` would belong to several features: {}; rename all but one",
        list(features)
    )]
    TableCollision {
        /// The name of the table.
        table: String,
        /// The features.
        features: Vec<FeatureSite>,
    },
    /// A feature has the name of a system table.
    #[error(
        "the key of {feature} is reserved: tables that begin with `{SYSTEM_TABLES}` belong to Metaxy; rename the feature"
    )]
    ReservedKey {
        /// The feature.
        feature: FeatureSite,
    },
    /// A feature depends on one that is not in the graph.
    #[error("{feature} depends on `{upstream}`, which is not in the graph{}", hint(nearest.as_ref().map(FeatureKey::as_str)))]
    MissingUpstream {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// What is not there.
        upstream: FeatureKey,
        /// A key that is there and looks alike.
        nearest: Option<FeatureKey>,
    },
    /// Features depend on each other.
    #[error("{}", cycle(path))]
    Cycle {
        /// Each feature depends on the next one, the last one on the first.
        path: Vec<FeatureSite>,
    },
    /// A feature depends twice on another one.
    #[error("{feature} depends on {upstream} more than once; merge the dependencies into one")]
    DuplicateUpstream {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
    },
    /// A feature has no id column.
    #[error("{feature} has no id column; name at least one")]
    NoIdColumn {
        /// The feature.
        feature: FeatureSite,
    },
    /// Columns of a feature have one name.
    #[error(
        "{feature} has several columns of one name: {}; databases ignore case, so rename all but one",
        quoted(columns)
    )]
    DuplicateColumn {
        /// The feature.
        feature: FeatureSite,
        /// The names, which may differ in case.
        columns: Vec<String>,
    },
    /// A column, a field or an id has a name that begins like a system column.
    #[error(
        "the name `{name}` in {feature} is reserved: names that begin with `{SYSTEM_COLUMNS}` belong to Metaxy; rename it"
    )]
    ReservedName {
        /// The feature.
        feature: FeatureSite,
        /// The name.
        name: String,
    },
    /// An id column is not among the columns.
    #[error("the id column `{column}` of {feature} is not among its columns{}", hint(nearest.as_deref()))]
    UnknownIdColumn {
        /// The feature.
        feature: FeatureSite,
        /// The id column.
        column: String,
        /// A column that is there and looks alike.
        nearest: Option<String>,
    },
    /// An id column has a type that is not safe to compare and to join on.
    #[error(
        "the id column `{column}` of {feature} is {ty}; an id is an integer, a text, a date or a UUID"
    )]
    IdColumnType {
        /// The feature.
        feature: FeatureSite,
        /// The id column.
        column: String,
        /// Its type.
        ty: ColumnType,
    },
    /// An id column may hold NULL.
    #[error(
        "the id column `{column}` of {feature} may hold NULL, which identifies nothing; make it required"
    )]
    NullableIdColumn {
        /// The feature.
        feature: FeatureSite,
        /// The id column.
        column: String,
    },
    /// Several fields of a feature have one key.
    #[error("{feature} has several fields `{field}`; give each its own name")]
    DuplicateField {
        /// The feature.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
    },
    /// Several fields of a feature have one name in the by-field columns.
    #[error(
        "the fields {} of {feature} are all stored as `{struct_key}`; rename all but one",
        quoted(fields)
    )]
    StructKeyCollision {
        /// The feature.
        feature: FeatureSite,
        /// The name in the by-field columns.
        struct_key: String,
        /// The fields.
        fields: Vec<FieldKey>,
    },
    /// A field was renamed from its own name.
    #[error("field `{field}` of {feature} was renamed from its own name; remove `renamed_from`")]
    RenamedFromItself {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
    },
    /// A field was renamed from a name that another one has.
    #[error(
        "field `{field}` of {feature} was renamed from `{first_name}`, but another field has that name; a first name cannot be given to another field"
    )]
    FirstNameHeld {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// The name that is still held.
        first_name: FieldKey,
    },
    /// Fields have exchanged their names.
    #[error(
        "fields of {feature} have exchanged their names: {}; stored rows would then belong to the wrong field, so give them new names",
        arrows(fields)
    )]
    FirstNamesExchanged {
        /// The feature.
        feature: FeatureSite,
        /// Each was renamed from the next one, the last one from the first.
        fields: Vec<FieldKey>,
    },
    /// Several fields were renamed from one.
    #[error(
        "the fields {} of {feature} were all renamed from `{first_name}`; only one of them can be",
        quoted(fields)
    )]
    FirstNameTwice {
        /// The feature.
        feature: FeatureSite,
        /// Their first name.
        first_name: FieldKey,
        /// The fields.
        fields: Vec<FieldKey>,
    },
    /// A field names a feature that its own does not depend on.
    #[error(
        "field `{field}` of {feature} depends on a field of `{upstream}`, which is not among the dependencies of the feature; add it to them"
    )]
    UndeclaredUpstream {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// What is not declared.
        upstream: FeatureKey,
    },
    /// A field names a field that the upstream does not have.
    #[error("field `{field}` of {feature} depends on field `{unknown}` of {upstream}, which has no such field{}", hint(nearest.as_ref().map(FieldKey::as_str)))]
    UnknownField {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// The upstream.
        upstream: FeatureSite,
        /// What the upstream does not have.
        unknown: FieldKey,
        /// A field that it has and that looks alike.
        nearest: Option<FieldKey>,
    },
    /// A feature has upstreams, but one of its fields depends on nothing.
    #[error(
        "field `{field}` of {feature} has no parents, since no mapping gives it one; name them in the deps of the field, or change a mapping"
    )]
    NoParents {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
    },
    /// An upstream is taken one to one, but has ids of its own.
    #[error("{feature} takes {upstream} one to one, but the upstream's id {} not among the ids of `{}`; rename to one of these ids, or declare an aggregation", are(columns), feature.key)]
    IdentityIds {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// The ids of the upstream, by their names after `rename`, that are no ids of the feature.
        columns: Vec<String>,
    },
    /// No required upstream gives an id of a feature.
    #[error(
        "no required upstream gives the id column `{column}` of {feature}; drop the column, rename one of an upstream's ids to it, or declare an expansion"
    )]
    IdNotGiven {
        /// The feature.
        feature: FeatureSite,
        /// The id column.
        column: String,
    },
    /// All upstreams of a feature are optional, and one of them lacks an id.
    #[error(
        "all upstreams of {feature} are optional, so each has to give every id column, but {upstream} does not give `{column}`; make an upstream required, or rename a column to it"
    )]
    IdNotGivenByOptional {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// The id column.
        column: String,
    },
    /// A column of `on` is no id of the feature.
    #[error("the {lineage} of {upstream} in {feature} is on `{column}`, which is no id column of `{}`{}", feature.key, hint(nearest.as_deref()))]
    OnIsNoId {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// `aggregation` or `expansion`.
        lineage: &'static str,
        /// The column.
        column: String,
        /// An id that looks alike.
        nearest: Option<String>,
    },
    /// A column of `on` is no column of the upstream.
    #[error("the {lineage} of {upstream} in {feature} is on `{column}`, which is no column of the upstream{}", hint(nearest.as_deref()))]
    OnIsNoColumn {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// `aggregation` or `expansion`.
        lineage: &'static str,
        /// The column, by its name after `rename`.
        column: String,
        /// A column that looks alike.
        nearest: Option<String>,
    },
    /// `on` is empty, or names a column twice.
    #[error(
        "the {lineage} of {upstream} in {feature} has to name at least one column in `on`, and none of them twice"
    )]
    OnIsBad {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// `aggregation` or `expansion`.
        lineage: &'static str,
    },
    /// An expansion adds no id, so that the children of a parent could not be told apart.
    #[error(
        "the expansion of {upstream} in {feature} adds no id column, so the children of a parent could not be told apart; add one, or take the upstream one to one"
    )]
    ExpansionAddsNoId {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
    },
    /// An id column has different types in two features.
    #[error(
        "the id column `{column}` of {feature} is {ty}, but {upstream_ty} in {upstream}; make the types equal"
    )]
    IdTypesDiffer {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The column, by its name in the feature.
        column: String,
        /// Its type in the feature.
        ty: ColumnType,
        /// The upstream.
        upstream: FeatureSite,
        /// Its type in the upstream.
        upstream_ty: ColumnType,
    },
    /// Two upstreams bring a column of one name.
    #[error(
        "the upstreams {} of {feature} all bring a column `{column}`; rename or leave out all but one, with `rename` or `select`",
        list(upstreams)
    )]
    ColumnCollision {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The name.
        column: String,
        /// The upstreams.
        upstreams: Vec<FeatureSite>,
    },
    /// `select` has a name from before `rename`.
    #[error(
        "{feature} selects `{column}` of {upstream}, but renames it to `{renamed}`; select the new name"
    )]
    SelectBeforeRename {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// The name upstream.
        column: String,
        /// The name after `rename`.
        renamed: String,
    },
    /// `select` or `rename` has a column that the upstream does not have.
    #[error("{feature} names the column `{column}` of {upstream} in `{option}`, but there is no such column{}", hint(nearest.as_deref()))]
    UnknownColumn {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// `select` or `rename`.
        option: &'static str,
        /// What is not there.
        column: String,
        /// A column that is there and looks alike.
        nearest: Option<String>,
    },
    /// A filter cannot be read, or does not fit the columns of the upstream.
    #[error("{feature} has a filter on {upstream} that cannot be used: {error}")]
    Filter {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// What is wrong with it, and where.
        error: FilterError,
    },
    /// A column is renamed to a name that another column has.
    #[error(
        "{feature} renames `{from}` of {upstream} to `{to}`, a name that another column of it has; choose a new one, or rename that one too"
    )]
    RenameOnto {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// The column.
        from: String,
        /// The name that another one has.
        to: String,
    },
    /// A column is renamed twice.
    #[error("{feature} renames `{column}` of {upstream} more than once; keep one of them")]
    RenamedTwice {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// The upstream.
        upstream: FeatureSite,
        /// The column, by its name upstream.
        column: String,
    },
}

impl GraphError {
    /// The features that the mistake is about, each once.
    #[must_use]
    pub fn features(&self) -> Vec<&FeatureKey> {
        match self {
            Self::Key { .. } => Vec::new(),
            Self::DuplicateKey { key, .. } => vec![key],
            Self::TableCollision { features: sites, .. }
            | Self::Project { features: sites, .. }
            | Self::Cycle { path: sites } => sites.iter().map(|site| &site.key).collect(),
            Self::ColumnCollision { feature, upstreams, .. } => {
                std::iter::once(feature).chain(upstreams).map(|site| &site.key).collect()
            }
            Self::CodeVersion { feature, .. }
            | Self::LockedVersion { feature, .. }
            | Self::LockedElsewhere { feature, .. }
            | Self::UnlikeLocked { feature, .. }
            | Self::ReservedKey { feature, .. }
            | Self::MissingUpstream { feature, .. }
            | Self::NoIdColumn { feature, .. }
            | Self::DuplicateColumn { feature, .. }
            | Self::ReservedName { feature, .. }
            | Self::UnknownIdColumn { feature, .. }
            | Self::IdColumnType { feature, .. }
            | Self::NullableIdColumn { feature, .. }
            | Self::DuplicateField { feature, .. }
            | Self::StructKeyCollision { feature, .. }
            | Self::RenamedFromItself { feature, .. }
            | Self::FirstNameHeld { feature, .. }
            | Self::FirstNamesExchanged { feature, .. }
            | Self::FirstNameTwice { feature, .. }
            | Self::UndeclaredUpstream { feature, .. }
            | Self::NoParents { feature, .. }
            | Self::IdNotGiven { feature, .. } => vec![&feature.key],
            Self::DuplicateUpstream { feature, upstream, .. }
            | Self::UnknownField { feature, upstream, .. }
            | Self::IdentityIds { feature, upstream, .. }
            | Self::IdNotGivenByOptional { feature, upstream, .. }
            | Self::OnIsNoId { feature, upstream, .. }
            | Self::OnIsNoColumn { feature, upstream, .. }
            | Self::OnIsBad { feature, upstream, .. }
            | Self::ExpansionAddsNoId { feature, upstream, .. }
            | Self::IdTypesDiffer { feature, upstream, .. }
            | Self::SelectBeforeRename { feature, upstream, .. }
            | Self::UnknownColumn { feature, upstream, .. }
            | Self::Filter { feature, upstream, .. }
            | Self::RenameOnto { feature, upstream, .. }
            | Self::RenamedTwice { feature, upstream, .. } => {
                vec![&feature.key, &upstream.key]
            }
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn quoted<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

/// "column `a` is", or "columns `a`, `b` are".
fn are(columns: &[String]) -> String {
    match columns {
        [column] => format!("column `{column}` is"),
        columns => format!("columns {} are", quoted(columns)),
    }
}

fn arrows(fields: &[FieldKey]) -> String {
    let fields = fields.iter().chain(fields.first());
    fields.map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" from ")
}

fn cycle(path: &[FeatureSite]) -> String {
    match path {
        [feature] => format!("{feature} depends on itself"),
        path => {
            let first = path.first().map_or(String::new(), |site| format!("`{}`", site.key));
            let path: Vec<_> = path.iter().map(ToString::to_string).collect();
            format!("features depend on each other in a cycle: {} -> {first}", path.join(" -> "))
        }
    }
}
