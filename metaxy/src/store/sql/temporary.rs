//! Temporary tables of a connection, and resolves that keep something in them: their increment, for statements
//! that go on with it, or records with their classes, of which more is looked up.

use super::connection::Connection;
use super::rows::Answer;
use crate::error::Result;
use crate::increment::Counts;
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::plan::{Class, Classified, Resolve, Unchanged};
use metaxy_sql::{Dialect, Ident, lower};

/// What a resolve found, while it is being acted upon.
pub(crate) const INCREMENT: &str = "@increment";
/// The records that it has classified, while more of them is looked up.
const CLASSIFIED: &str = "@classified";

/// Removes a temporary table, if there is one.
pub(super) async fn drop_temporary(connection: &mut dyn Connection, table: &str) -> Result<()> {
    connection.execute(Statement::DropTemporary { table: Ident::new(table)? }).await?;
    Ok(())
}

/// Makes a temporary table anew.
pub(super) async fn keep(connection: &mut dyn Connection, table: &str, query: Query) -> Result<()> {
    drop_temporary(connection, table).await?;
    let table = Ident::new(table)?;
    connection.execute(Statement::CreateTemporaryAs { table, query }).await?;
    Ok(())
}

/// A resolve that is begun.
pub(super) struct Begun {
    /// The numbers; `None` if the rest gives them first.
    pub(super) counts: Option<Counts>,
    /// What gives the rows.
    pub(super) rest: Query,
    /// Whether there are none.
    pub(super) is_done: bool,
}

/// Begins a resolve: where the engine is better off with two statements, the first is run. `None` if there is
/// no table to be asked.
pub(super) async fn begin(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    plan: &Resolve,
) -> Result<Option<Begun>> {
    let first = if dialect.classifies_first() { lower::classify(plan) } else { None };
    let Some(first) = first else {
        let begun = |rest| Begun { counts: None, rest, is_done: false };
        return Ok(lower::resolve(plan).map(begun));
    };
    keep(connection, CLASSIFIED, first).await?;
    let (mut counts, mut outdated) = (Counts::default(), false);
    for batch in connection.rows(lower::counts_of_classified(CLASSIFIED)).await? {
        let answer = Answer(&batch);
        answer.take_counts(&mut counts)?;
        outdated |= answer.counts_outdated()?;
    }
    let unchanged = plan.call.unchanged != Unchanged::None;
    let numbers = [
        (Class::Orphaned, counts.orphaned),
        (Class::Blocked, counts.blocked),
        (Class::New, counts.new),
        (Class::Stale, counts.stale),
        (Class::Waiting, if plan.waiting { counts.waiting } else { 0 }),
        (Class::Unchanged, if unchanged { counts.unchanged } else { 0 }),
    ];
    let classes = numbers.into_iter().filter(|(_, n)| *n > 0).map(|(class, _)| class);
    let found = Classified { table: CLASSIFIED.to_owned(), classes: classes.collect(), outdated };
    let rest = lower::look_up(plan, &found);
    Ok(Some(Begun { counts: Some(counts), rest, is_done: found.classes.is_empty() }))
}

/// Keeps the increment of a resolve in a temporary table, made anew; gives its numbers. There is none if there
/// is no table to be asked.
pub(super) async fn make_increment(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    plan: &Resolve,
) -> Result<Counts> {
    match begin(connection, dialect, plan).await? {
        Some(begun) => keep_increment(connection, begun).await,
        None => {
            drop_temporary(connection, INCREMENT).await?;
            Ok(Counts::default())
        }
    }
}

/// Keeps the increment of a resolve that is begun; gives its numbers.
pub(super) async fn keep_increment(
    connection: &mut dyn Connection,
    begun: Begun,
) -> Result<Counts> {
    keep(connection, INCREMENT, begun.rest).await?;
    if let Some(counts) = begun.counts {
        return Ok(counts);
    }
    let mut counts = Counts::default();
    for batch in connection.rows(lower::counts_of(INCREMENT)).await? {
        Answer(&batch).take_counts(&mut counts)?;
    }
    Ok(counts)
}
