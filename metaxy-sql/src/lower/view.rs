//! Plans -> queries that say in words what the answers of [`super::resolve`] say in numbers: for views
//! that people read, with nothing but SQL.

use super::{id, part, resolve};
use crate::ast::build::{call, case, col, eq, int, text};
use crate::ast::{Expr, Query, Select, Statement};
use crate::functions::Function;
use crate::plan::{Class, Resolve, orphan, reason};
use crate::system;

/// The class of a record.
const STATUS: &str = "metaxy_status";
/// Why fields of a stale record are stale.
const STALE_FIELDS: &str = "metaxy_stale_fields";
/// Why a record is orphaned.
const CAUSE: &str = "metaxy_cause";

const CLASSES: [(Class, &str); 4] = [
    (Class::Orphaned, "orphaned"),
    (Class::Blocked, "blocked"),
    (Class::New, "new"),
    (Class::Stale, "stale"),
];

const CAUSES: [(i8, &str); 3] =
    [(orphan::MISSING, "missing"), (orphan::GONE, "gone"), (orphan::EXCLUDED, "excluded")];

const REASONS: [(i8, &str); 4] = [
    (reason::CODE, "code"),
    (reason::ADDED, "added"),
    (reason::UPSTREAM, "upstream"),
    (reason::FORCED, "forced"),
];

/// A view over a query.
///
/// # Errors
/// When the name cannot be an identifier.
pub fn view(view: &str, query: Query) -> crate::Result<Statement> {
    Ok(Statement::CreateView { view: crate::Ident::new(view)?, query })
}

/// What is to do in a feature, by the names that columns have there: its ids, the columns that come
/// along, which are given in order, and what is said about each record. Nothing if the plan asks
/// nothing.
#[must_use]
pub fn to_do(plan: &Resolve, brought: &[String]) -> Option<Query> {
    let plan = Resolve { rows: true, texts: true, ..plan.clone() };
    let Query { mut with, mut union_all } = resolve(&plan)?;
    // The first SELECT counts classes; a view over the rows counts them as well as any other.
    let rows = union_all.pop()?;
    with.push((part("rows"), rows));
    let ids = plan.target.ids.iter().enumerate();
    let own = |column: String| col("r", column);
    let said = |column: &str, texts: &mut dyn Iterator<Item = (i64, String)>| {
        let value = || col("r", column);
        case(texts.map(|(code, said)| (eq(value(), int(code)), text(said))), None)
    };
    let classes = said("class", &mut CLASSES.map(|(c, said)| (c as i64, said.into())).into_iter());
    let causes = said("orphan", &mut CAUSES.map(|(c, said)| (c.into(), said.into())).into_iter());
    let by_field = |value: &dyn Fn(usize) -> Expr| {
        let fields = plan.target.fields.iter().enumerate();
        let pairs = fields.flat_map(|(k, f)| [text(&f.definition.name), value(k)]);
        call(Function::MapOf, pairs.collect::<Vec<_>>())
    };
    let provenance =
        |k: usize| call(Function::Coalesce, [own(format!("p{k}")), own(format!("c{k}"))]);
    let reasons =
        |k: usize| said(&format!("r{k}"), &mut (1..16).map(|bits| (bits, texts_of(bits))));
    let select = Select::default()
        .columns(ids.map(|(k, column)| (own(id(k)), column.clone())))
        .column(classes, STATUS)
        .columns(brought.iter().enumerate().map(|(j, name)| (own(format!("s{j}")), name.clone())))
        .column(by_field(&provenance), system::PROVENANCE_BY_FIELD)
        .column(own("provenance".to_owned()), system::PROVENANCE)
        .column(by_field(&reasons), STALE_FIELDS)
        .column(causes, CAUSE)
        .from(super::from_part("rows", "r"));
    Some(Query { with, union_all: vec![select] })
}

/// What a sum of bits says, joined by commas.
fn texts_of(bits: i64) -> String {
    let held = REASONS.iter().filter(|(bit, _)| bits & i64::from(*bit) != 0);
    held.map(|(_, said)| *said).collect::<Vec<_>>().join(",")
}
