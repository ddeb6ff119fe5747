//! Every option name, so that parser, messages and documentation spell them alike.

/// The attribute itself.
pub(crate) const METAXY: &str = "metaxy";

pub(crate) const KEY: &str = "key";
pub(crate) const DEPS: &str = "deps";
pub(crate) const PROJECT: &str = "project";
pub(crate) const METADATA: &str = "metadata";
pub(crate) const CRATE: &str = "crate";

pub(crate) const ID: &str = "id";
pub(crate) const FIELD: &str = "field";
pub(crate) const NAME: &str = "name";
pub(crate) const CODE_VERSION: &str = "code_version";
pub(crate) const RENAMED_FROM: &str = "renamed_from";

pub(crate) const OPTIONAL: &str = "optional";
pub(crate) const SELECT: &str = "select";
pub(crate) const RENAME: &str = "rename";
pub(crate) const FILTER: &str = "filter";
pub(crate) const LINEAGE: &str = "lineage";
pub(crate) const FIELDS: &str = "fields";
pub(crate) const EXCLUDE: &str = "exclude";

pub(crate) const IDENTITY: &str = "identity";
pub(crate) const AGGREGATION: &str = "aggregation";
pub(crate) const EXPANSION: &str = "expansion";
pub(crate) const ON: &str = "on";

pub(crate) const BY_NAME: &str = "by_name";
pub(crate) const BY_SUFFIX: &str = "by_suffix";
pub(crate) const ALL: &str = "all";
pub(crate) const NONE: &str = "none";
pub(crate) const SPECIFIC: &str = "specific";

pub(crate) const RENAME_ALL: &str = "rename_all";

/// On a struct that derives `Feature`.
pub(crate) const FEATURE_OPTIONS: &[&str] = &[KEY, DEPS, PROJECT, METADATA, CRATE];
/// On a member of a struct that derives `Feature`.
pub(crate) const MEMBER_OPTIONS: &[&str] =
    &[ID, FIELD, NAME, KEY, CODE_VERSION, DEPS, RENAMED_FROM];
/// On one upstream within `deps(..)`.
pub(crate) const UPSTREAM_OPTIONS: &[&str] =
    &[OPTIONAL, SELECT, RENAME, FILTER, LINEAGE, FIELDS, EXCLUDE];
/// After `lineage =`.
pub(crate) const LINEAGES: &[&str] = &[IDENTITY, AGGREGATION, EXPANSION];
/// After `fields =`.
pub(crate) const MAPPINGS: &[&str] = &[BY_NAME, BY_SUFFIX, ALL, NONE, SPECIFIC];
/// On a struct that derives `Row`.
pub(crate) const ROW_OPTIONS: &[&str] = &[CRATE];
/// On a member of a struct that derives `Row`.
pub(crate) const ROW_MEMBER_OPTIONS: &[&str] = &[NAME];
/// On a type that derives `Column`.
pub(crate) const COLUMN_OPTIONS: &[&str] = &[RENAME_ALL, CRATE];
/// On a variant of an enum that derives `Column`.
pub(crate) const VARIANT_OPTIONS: &[&str] = &[NAME];
