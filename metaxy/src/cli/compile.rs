//! `metaxy compile`: a graph as plain SQL, for people without Rust.

use super::output::{Answer, Format};
use super::versions::length;
use super::{Context, Failure, Output};
use crate::migrate::Engine;
use crate::store::sql::offline::Offline;
use crate::version::DEFAULT_HASH_TRUNCATION_LENGTH;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use metaxy_sql::HashAlgorithm;
use metaxy_sql::plan::Hash;
use serde_json::json;

/// The name of a database, as an argument.
pub(super) fn engine() -> impl TypedValueParser<Value = Engine> {
    let names = Engine::ALL.map(Engine::id);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Engine>())
}

/// How the store hashes whose tables a statement is for.
#[derive(Debug, Args)]
pub(super) struct Hashing {
    /// How the store hashes: `md5`, `sha256`, `xxhash64`, ..; by default md5, in ClickHouse xxhash64
    #[arg(long, value_name = "NAME", requires = "dialect", value_parser = algorithm)]
    hash_algorithm: Option<HashAlgorithm>,
    /// How many characters of every hash the store keeps
    #[arg(long, value_name = "N", requires = "dialect", default_value_t = DEFAULT_HASH_TRUNCATION_LENGTH, value_parser = length)]
    hash_truncation_length: usize,
}

pub(super) fn algorithm(text: &str) -> Result<HashAlgorithm, String> {
    let found = HashAlgorithm::ALL.into_iter().find(|one| one.to_string() == text);
    found.ok_or_else(|| {
        format!("it is one of {}", HashAlgorithm::ALL.map(|one| one.to_string()).join(", "))
    })
}

impl Hashing {
    pub(super) fn of(&self, engine: Engine) -> Result<Hash, Failure> {
        // The text is run without a store, which brings functions where the database has none: as a store
        // hashes if the database can do that by itself, and else as every database can.
        let dialect = engine.dialect();
        let of_stores = dialect.default_algorithm();
        let by_itself =
            if dialect.has_algorithm(of_stores) { of_stores } else { HashAlgorithm::Md5 };
        let algorithm = self.hash_algorithm.unwrap_or(by_itself);
        let length = u32::try_from(self.hash_truncation_length);
        let length = length.map_err(|_| Failure::input("no hash has so many characters"))?;
        Ok(Hash { algorithm, length })
    }
}

/// Print the graph as SQL views, for people who have nothing but SQL
///
/// For each feature there is a view `<table>__current` of the records that are there, and for each with
/// upstreams a view `<table>__to_do` of those that are new, stale, orphaned or blocked. They are for tables
/// as the store makes them, in a store that hashes in the same way, and say what `read` and `resolve` say.
#[derive(Debug, Args)]
pub(super) struct Compile {
    /// Print views
    #[arg(long, required = true)]
    views: bool,
    /// For this database
    #[arg(long, value_parser = engine())]
    dialect: Engine,
    /// The features; all if none is named
    features: Vec<String>,
    #[command(flatten)]
    hashing: Hashing,
}

impl Compile {
    pub(super) fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let hash = self.hashing.of(self.dialect)?;
        let offline = Offline::new(&graph, self.dialect.dialect(), hash)?;
        let mut views = Vec::new();
        for key in context.select(&graph, &self.features)? {
            views.extend(offline.views(&key)?);
        }
        if out.format() == Format::Table {
            for view in &views {
                writeln!(out.data(), "-- `{}`: {}.\n{};\n", view.feature, view.about, view.sql)?;
            }
            return Ok(());
        }
        let json = views.iter().map(
            |view| json!({ "feature": view.feature.as_str(), "view": view.name, "sql": view.sql }),
        );
        let mut answer = Answer::new(json!({ "views": json.collect::<Vec<_>>() }));
        for view in &views {
            answer = answer.title(format!("`{}`", view.name));
            answer = answer.text(format!("```sql\n{};\n```", view.sql));
        }
        out.answer(&answer)
    }
}
