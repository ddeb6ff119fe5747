//! [`MigrationError`]: why migrations are not made, not found in order, or not applied.

use std::path::PathBuf;

/// Why migrations are not made, not found in order, or not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// No migration does what was changed; every line is a reason of its own.
    #[error("no migration can do this:\n- {}", .reasons.join("\n- "))]
    Refused {
        /// What it is, and what can be done instead.
        reasons: Vec<String>,
    },
    /// A text names no engine.
    #[error("`{name}` is no engine; expected `duckdb`, `postgres` or `clickhouse`")]
    UnknownEngine {
        /// The text.
        name: String,
    },
    /// A text names no layout.
    #[error("`{name}` is no layout of migrations; expected `sqlx`, `refinery` or `plain`")]
    UnknownLayout {
        /// The text.
        name: String,
    },
    /// A migration cannot have this name.
    #[error(
        "`{name}` cannot be the name of a migration; take lower-case letters, digits and `_`, \
         as in `add_faces`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A file, or the folder, cannot be read or written, or does not fit the others.
    #[error("`{}`: {problem}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The files do not make the tables that the graph needs.
    #[error(
        "the migrations do not match the features {}:\n- {}\n`{command}` writes the migration \
         that is missing", .features.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
        .differences.join("\n- ")
    )]
    Differs {
        /// The features.
        features: Vec<String>,
        /// What is missing.
        differences: Vec<String>,
        /// The command that writes it.
        command: String,
    },
    /// The migrations are written for another engine than the store's.
    #[error("the migrations in `{}` are for {expected}, and the store is in {found}", .path.display())]
    OtherEngine {
        /// The folder.
        path: PathBuf,
        /// The engine that they are for.
        expected: &'static str,
        /// The store's.
        found: &'static str,
    },
    /// A migration was applied, and its file has been changed since.
    #[error(
        "the migration {version} (`{name}`) was applied, and its file has been changed since; bring \
         back the file as it was, and make another migration"
    )]
    Edited {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
    },
    /// A migration was applied that is not there.
    #[error(
        "the migration {version} (`{name}`) was applied to the store, but there is no such file in \
         `{}`; is this another project's store, or an older state of this one?", .path.display()
    )]
    Missing {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// A migration cannot be undone.
    #[error("the migration {version} (`{name}`) cannot be undone: {reason}")]
    Irreversible {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A statement of a migration failed.
    #[error("the migration {version} (`{name}`) failed; {left}: {source}")]
    Failed {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
        /// What is left of it.
        left: &'static str,
        /// What went wrong.
        source: Box<crate::Error>,
    },
}

impl From<MigrationError> for crate::Error {
    fn from(error: MigrationError) -> Self {
        Self::Migration(Box::new(error))
    }
}
