//! Names of system columns and tables: wire format, section 3, and what is our own.

use md5::{Digest, Md5};

/// Field -> provenance.
pub const PROVENANCE_BY_FIELD: &str = "metaxy_provenance_by_field";
/// The hash of the provenances.
pub const PROVENANCE: &str = "metaxy_provenance";
/// Field -> data version.
pub const DATA_VERSION_BY_FIELD: &str = "metaxy_data_version_by_field";
/// The hash of the data versions.
pub const DATA_VERSION: &str = "metaxy_data_version";
/// The version of the feature when the row was written.
pub const FEATURE_VERSION: &str = "metaxy_feature_version";
/// The version of the project when the row was written.
pub const PROJECT_VERSION: &str = "metaxy_project_version";
/// When the row was first written.
pub const CREATED_AT: &str = "metaxy_created_at";
/// When the row was written.
pub const UPDATED_AT: &str = "metaxy_updated_at";
/// When the record was deleted; the row is then a tombstone.
pub const DELETED_AT: &str = "metaxy_deleted_at";
/// The caller's name for the run that wrote the row.
pub const MATERIALIZATION_ID: &str = "metaxy_materialization_id";
/// The number of the write; our own, missing in tables of the Python implementation.
pub const WRITE_TOKEN: &str = "metaxy_write_token";

/// In tables of expansions: which attempt at expanding the parent the row belongs to; NULL in rows of
/// other programs. Our own.
pub const TRY: &str = "metaxy_try";
/// In a seal: how many children the parent has. Our own.
pub const CHILDREN: &str = "metaxy_children";

/// All system columns that every table has, in the order in which our tables have them.
pub const COLUMNS: [&str; 11] = [
    PROVENANCE_BY_FIELD,
    PROVENANCE,
    DATA_VERSION_BY_FIELD,
    DATA_VERSION,
    FEATURE_VERSION,
    PROJECT_VERSION,
    CREATED_AT,
    UPDATED_AT,
    DELETED_AT,
    MATERIALIZATION_ID,
    WRITE_TOKEN,
];

/// The definitions that were pushed, as the Python implementation keeps them (wire format, section 3.4).
pub const PUSHES: &str = "metaxy_system__feature_versions";

/// What every name of ours begins with.
pub const PREFIX: &str = "metaxy_";

/// Per feature version and field: code version and parents.
pub const DEFINITIONS: &str = "metaxy_system__field_versions";
/// The settings that a store was created with.
pub const SETTINGS: &str = "metaxy_system__settings";

/// The migrations that were applied: which, what they were, when.
pub const MIGRATIONS: &str = "metaxy_system__migrations";
/// Per record that could not be computed: when, why, and from what.
pub const FAILURES: &str = "metaxy_system__failures";
/// Records whose history was removed, so that it is known that they were there.
pub const REMOVED: &str = "metaxy_system__removed";
/// How long records took to compute, as writers have said.
pub const DURATIONS: &str = "metaxy_system__durations";
/// What the latest resolve of all records of a feature has found, and how far it has read the tables.
pub const WATERMARKS: &str = "metaxy_system__watermarks";
/// Rows that were declared to be what would be computed today: who, when, why.
pub const REBASES: &str = "metaxy_system__rebases";

/// The longest name that every database keeps whole, in bytes: that of Postgres.
const LONGEST_NAME: usize = 63;

/// A name that is made of the name of a table, as every database keeps it: one that is too long for some ends
/// in a hash instead, for all of them. What something is called does not depend on where it is.
pub(crate) fn kept_whole(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let hash = &hex::encode(Md5::digest(&name))[..16];
    let mut kept = LONGEST_NAME - "__".len() - hash.len();
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}__{hash}", &name[..kept])
}

/// The table of the seals of an expansion whose records are in `table`: per parent its ids, the
/// columns of a record that say what it was computed from and when, [`TRY`] and [`CHILDREN`].
#[must_use]
pub fn seals(table: &str) -> String {
    kept_whole(format!("metaxy_system__seals__{table}"))
}

/// The columns of a table of seals after the ids of the parent, in the order in which ours have them.
pub const SEAL_COLUMNS: [&str; 10] = [
    PROVENANCE_BY_FIELD,
    PROVENANCE,
    FEATURE_VERSION,
    PROJECT_VERSION,
    UPDATED_AT,
    DELETED_AT,
    MATERIALIZATION_ID,
    WRITE_TOKEN,
    TRY,
    CHILDREN,
];

/// The columns of [`FAILURES`].
pub mod failures {
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The record: its ids as one text, see [`crate::plan::ids_text`].
    pub const IDS: &str = "ids";
    /// The hash over what it would have been computed from.
    pub const PROVENANCE: &str = super::PROVENANCE;
    /// What went wrong.
    pub const ERROR: &str = "error";
    /// When.
    pub const FAILED_AT: &str = "failed_at";
    /// The caller's name for the run.
    pub const MATERIALIZATION_ID: &str = super::MATERIALIZATION_ID;
    /// All of them, in order.
    pub const COLUMNS: [&str; 6] =
        [FEATURE_KEY, IDS, PROVENANCE, ERROR, FAILED_AT, MATERIALIZATION_ID];
}

/// The columns of [`REMOVED`].
pub mod removed {
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The MD5 of the record's ids as one text: what was removed is not kept in clear.
    pub const IDS_HASH: &str = "ids_md5";
    /// When.
    pub const REMOVED_AT: &str = "removed_at";
    /// The caller's name for the run.
    pub const MATERIALIZATION_ID: &str = super::MATERIALIZATION_ID;
    /// All of them, in order.
    pub const COLUMNS: [&str; 4] = [FEATURE_KEY, IDS_HASH, REMOVED_AT, MATERIALIZATION_ID];
}

/// The columns of [`REBASES`].
pub mod rebases {
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The feature version that the rows have now.
    pub const FEATURE_VERSION: &str = super::FEATURE_VERSION;
    /// How many rows.
    pub const ROWS: &str = "n_rows";
    /// What was accepted: a JSON list of reasons; empty if provenances were equal.
    pub const ACCEPTED: &str = "accepted";
    /// Who.
    pub const REBASED_BY: &str = "rebased_by";
    /// Why.
    pub const REASON: &str = "reason";
    /// When.
    pub const REBASED_AT: &str = "rebased_at";
    /// All of them, in order.
    pub const COLUMNS: [&str; 7] =
        [FEATURE_KEY, FEATURE_VERSION, ROWS, ACCEPTED, REBASED_BY, REASON, REBASED_AT];
}

/// The columns of [`DURATIONS`].
pub mod durations {
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The feature version that they were computed for.
    pub const FEATURE_VERSION: &str = super::FEATURE_VERSION;
    /// How many records; of an expansion, how many parents.
    pub const RECORDS: &str = "n_records";
    /// How long that took, in microseconds.
    pub const MICROS: &str = "micros";
    /// When.
    pub const MEASURED_AT: &str = "measured_at";
    /// The caller's name for the run.
    pub const MATERIALIZATION_ID: &str = super::MATERIALIZATION_ID;
    /// All of them, in order.
    pub const COLUMNS: [&str; 6] =
        [FEATURE_KEY, FEATURE_VERSION, RECORDS, MICROS, MEASURED_AT, MATERIALIZATION_ID];
}

/// The table of the ids of records that were not unchanged at the watermark of the feature whose records
/// are in `table`: `id0`, and so on.
#[must_use]
pub fn pending(table: &str) -> String {
    format!("metaxy_system__pending__{table}")
}

/// The columns of [`WATERMARKS`]: a row for each table that the resolve has read.
pub mod watermarks {
    /// The feature that was resolved.
    pub const FEATURE_KEY: &str = "feature_key";
    /// What the answer follows from besides the rows: the statement and the recorded definitions, hashed.
    pub const FINGERPRINT: &str = "fingerprint";
    /// How many records were unchanged.
    pub const UNCHANGED: &str = "n_unchanged";
    /// How many of them another definition had written.
    pub const UNCHANGED_OLDER: &str = "n_unchanged_older";
    /// The table.
    pub const TABLE: &str = "table_name";
    /// The smallest address that a later row of it has.
    pub const NEXT_ROW: &str = "next_row";
    /// How many rows it had.
    pub const ROWS: &str = "n_rows";
    /// The latest time in it, in microseconds since 1970-01-01 UTC.
    pub const LATEST: &str = "latest";
    /// All of them, in order.
    pub const COLUMNS: [&str; 8] =
        [FEATURE_KEY, FINGERPRINT, UNCHANGED, UNCHANGED_OLDER, TABLE, NEXT_ROW, ROWS, LATEST];
}

/// The columns of [`DEFINITIONS`].
pub mod definitions {
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The feature version.
    pub const FEATURE_VERSION: &str = super::FEATURE_VERSION;
    /// The key of the field in the by-field columns.
    pub const FIELD: &str = "field";
    /// The field version.
    pub const FIELD_VERSION: &str = "field_version";
    /// The code version.
    pub const CODE_VERSION: &str = "code_version";
    /// The parent fields: a JSON list of `feature/key.field/key`, sorted.
    pub const PARENTS: &str = "parents";
    /// The id columns of the feature: a JSON list.
    pub const ID_COLUMNS: &str = "id_columns";
    /// All of them, in order.
    pub const COLUMNS: [&str; 7] =
        [FEATURE_KEY, FEATURE_VERSION, FIELD, FIELD_VERSION, CODE_VERSION, PARENTS, ID_COLUMNS];
}

/// The columns of [`PUSHES`].
pub mod pushes {
    /// The project.
    pub const PROJECT: &str = "project";
    /// The feature.
    pub const FEATURE_KEY: &str = "feature_key";
    /// The version of the feature.
    pub const FEATURE_VERSION: &str = super::FEATURE_VERSION;
    /// The version of its definition.
    pub const DEFINITION_VERSION: &str = "metaxy_definition_version";
    /// When it was pushed.
    pub const RECORDED_AT: &str = "recorded_at";
    /// Its spec, as JSON.
    pub const SPEC: &str = "feature_spec";
    /// Its JSON schema, as JSON.
    pub const SCHEMA: &str = "feature_schema";
    /// Where its type lives.
    pub const CLASS_PATH: &str = "feature_class_path";
    /// The version of the project; in a tombstone the last one that had the feature.
    pub const PROJECT_VERSION: &str = super::PROJECT_VERSION;
    /// What the push was called, as a JSON object of texts.
    pub const TAGS: &str = "tags";
    /// When the feature was found to be removed: the row is then a tombstone.
    pub const DELETED_AT: &str = "deleted_at";
    /// All of them, in order.
    pub const COLUMNS: [&str; 11] = [
        PROJECT,
        FEATURE_KEY,
        FEATURE_VERSION,
        DEFINITION_VERSION,
        RECORDED_AT,
        SPEC,
        SCHEMA,
        CLASS_PATH,
        PROJECT_VERSION,
        TAGS,
        DELETED_AT,
    ];
}

/// The columns of [`MIGRATIONS`].
pub mod migrations {
    /// The version: what the name of its file begins with.
    pub const VERSION: &str = "version";
    /// The name.
    pub const NAME: &str = "name";
    /// The SHA-256 of the file, as hexadecimal digits.
    pub const CHECKSUM: &str = "checksum";
    /// When.
    pub const APPLIED_AT: &str = "applied_at";
    /// All of them, in order.
    pub const COLUMNS: [&str; 4] = [VERSION, NAME, CHECKSUM, APPLIED_AT];
}

/// The columns of [`SETTINGS`].
pub mod settings {
    /// What is set.
    pub const NAME: &str = "name";
    /// To what.
    pub const VALUE: &str = "value";
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_NAME, seals};

    #[test]
    fn tables_of_seals_have_names_that_every_database_keeps() {
        let table = |n: usize| "n".repeat(n);
        assert_eq!(seals("a__b"), "metaxy_system__seals__a__b");
        let longest = seals(&table(41));
        assert_eq!(longest, format!("metaxy_system__seals__{}", table(41)));
        assert_eq!(longest.len(), LONGEST_NAME);
        // Written down, since a table that is called like that is looked for by this name.
        assert_eq!(
            seals(&table(42)),
            "metaxy_system__seals__nnnnnnnnnnnnnnnnnnnnnnn__5ec17c3ac16f41b0"
        );
        assert_ne!(seals(&(table(60) + "a")), seals(&(table(60) + "b")));
        assert!(seals(&"\u{1F980}".repeat(15)).len() <= LONGEST_NAME);
    }
}
