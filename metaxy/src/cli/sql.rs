//! `metaxy sql`: the statement of a resolve, for people to read.

use super::compile::{Hashing, engine};
use super::output::{Answer, Format};
use super::resolve::Selection;
use super::{Context, Failure, Output, context};
use crate::migrate::Engine;
use crate::store::sql::offline::Offline;
use clap::Args;
use serde_json::json;

/// Print the statement that resolves a feature
///
/// With a store, over the tables that are there; without one, or with `--dialect`, over the tables as the
/// store would make them, and then nothing is connected to. The statement gives numbers for classes and
/// reasons, and the number of records of each class first. In DuckDB it needs a store that hashes with md5
/// or sha256 to be run by hand.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// The key of the feature
    feature: String,
    /// For tables of this database that are not there yet
    #[arg(long, value_parser = engine())]
    dialect: Option<Engine>,
    #[command(flatten)]
    hashing: Hashing,
    #[command(flatten)]
    selection: Selection,
}

impl Sql {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let key = context::feature(&graph, &self.feature)?;
        let definition = graph.expect(&key)?;
        if definition.spec.deps.is_empty() {
            return Err(Failure::input(format!(
                "`{key}` has no upstream, so there is nothing to resolve"
            )));
        }
        let sql = match self.dialect {
            Some(dialect) => {
                let hash = self.hashing.of(dialect)?;
                let offline = Offline::new(&graph, dialect.dialect(), hash)?;
                offline.resolve(&key, &self.selection.options()?)?
            }
            None if !context.names_store() => {
                return Err(Failure::input(
                    "for which database? Name one with `--dialect`, or a store with `--store`",
                ));
            }
            None => {
                let store = context.store_to_read().await?;
                let update = store.update_of(&key).with(self.selection.options()?);
                let sql = update.sql().await?;
                sql.ok_or_else(|| {
                    Failure::input(format!(
                        "this store has no table that `{key}` could be resolved from; name a database \
                         with `--dialect` to see the statement for tables that are there"
                    ))
                })?
            }
        };
        if out.format() == Format::Table {
            return Ok(writeln!(out.data(), "{sql};")?);
        }
        let json = json!({ "feature": key.as_str(), "sql": sql });
        out.answer(&Answer::new(json).text(format!("```sql\n{sql};\n```")))
    }
}
