//! A tree of SQL -> text, asking the dialect.
//!
//! Names are quoted and values escaped here and nowhere else. Parentheses follow precedence.

use crate::ast::build::{and, binary, call, eq, int, is_set, name, not, or};
use crate::ast::{
    BinaryOp, ColumnDecl, Expr, From, JoinKind, Latest, Order, Query, Select, SqlType, Statement,
};
use crate::dialect::{Dialect, LatestRows};
use crate::error::{Error, Reason, Result};
use crate::functions::Function;
use crate::ident::Ident;
use crate::literal::Literal;
use crate::types::ScalarType;
use std::collections::HashMap;
use std::fmt::Write;

/// The text of a statement in a dialect, over several lines, without a closing semicolon.
///
/// # Errors
/// When the dialect cannot say something, or a name or a value cannot be written in it.
pub fn print(statement: &Statement, dialect: &dyn Dialect) -> Result<String> {
    Ok(print_steps(statement, dialect)?.join(";\n"))
}

/// The same for a server that takes one statement at a time: a table may take two.
///
/// # Errors
/// As [`print()`].
pub fn print_steps(statement: &Statement, dialect: &dyn Dialect) -> Result<Vec<String>> {
    let mut printer = Printer::new(statement, dialect);
    printer.statement(statement)?;
    printer.end_step();
    Ok(printer.steps)
}

/// The same for somebody who runs a query by hand: with the settings that it relies on, where a store
/// sends these with each query.
///
/// # Errors
/// As for [`print()`].
pub fn print_alone(query: &Statement, dialect: &dyn Dialect) -> Result<String> {
    let mut printer = Printer::new(query, dialect);
    printer.statement(query)?;
    printer.settings();
    Ok(printer.out)
}

/// How tightly an expression binds; a looser one inside a tighter one gets parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Any,
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Atom,
}

struct Printer<'a> {
    out: String,
    /// What is printed and done.
    steps: Vec<String>,
    dialect: &'a dyn Dialect,
    statement: &'a Statement,
    /// Of names that relations have in a SELECT, whether a relation of the statement is called so.
    clashes: HashMap<Ident, bool>,
}

impl<'a> Printer<'a> {
    fn new(statement: &'a Statement, dialect: &'a dyn Dialect) -> Printer<'a> {
        let (out, steps, clashes) = (String::new(), Vec::new(), HashMap::new());
        Printer { out, steps, dialect, statement, clashes }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn end_step(&mut self) {
        self.steps.push(std::mem::take(&mut self.out));
    }

    fn ident(&mut self, ident: &Ident) -> Result<()> {
        let quoted = self.dialect.quote_ident(ident)?;
        self.push(&quoted);
        Ok(())
    }

    /// The name that a relation has in a SELECT.
    fn alias(&mut self, alias: &Ident) -> Result<String> {
        if self.dialect.takes_aliases_for_tables() {
            let statement = self.statement;
            let clashes = self.clashes.entry(alias.clone());
            if *clashes.or_insert_with(|| uses_in_statement(statement, alias) > 0) {
                // No table has an `@` at the end of its name.
                return self.dialect.quote_ident(&name(format!("{alias}@")));
            }
        }
        self.dialect.quote_ident(alias)
    }

    fn idents<'i>(&mut self, idents: impl IntoIterator<Item = &'i Ident>) -> Result<()> {
        for (i, ident) in idents.into_iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.ident(ident)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Query(query) => self.ordered_query(query),
            Statement::Insert { table, columns, query } => {
                self.push("INSERT INTO ");
                self.ident(table)?;
                self.push(" (");
                self.idents(columns)?;
                self.push(")\n");
                self.query(query)
            }
            Statement::CreateTemporaryAs { table, query } => {
                self.push("CREATE TEMPORARY TABLE ");
                self.ident(table)?;
                let layout = self.dialect.table_layout(&[], true);
                self.push(&layout);
                self.push(" AS\n");
                if self.dialect.keeps_untyped_columns() {
                    self.query(query)
                } else {
                    self.query(&typed(query))
                }
            }
            Statement::CreateView { view, query } => {
                self.push("CREATE OR REPLACE VIEW ");
                self.ident(view)?;
                self.push(" AS\n");
                self.query(query)?;
                self.settings();
                Ok(())
            }
            Statement::CreateTable { table, columns, key, together, temporary } => {
                let quoted = |idents: &[Ident]| -> Result<Vec<String>> {
                    idents.iter().map(|ident| self.dialect.quote_ident(ident)).collect()
                };
                let (key, together) = (quoted(key)?, quoted(together)?);
                let layout = self.dialect.table_layout(&key, *temporary);
                let kept_in = self.dialect.kept_in(table).filter(|_| !*temporary);
                self.create_table(kept_in.as_ref().unwrap_or(table), columns, *temporary)?;
                self.push(&layout);
                if let Some(kept_in) = kept_in {
                    self.end_step();
                    self.create_table(table, columns, *temporary)?;
                    let kept_in = self.dialect.quote_ident(&kept_in)?;
                    let layout = self.dialect.leading_layout(&kept_in, &together);
                    self.push(&layout);
                }
                if let Some(index) = self.dialect.index(&self.dialect.quote_ident(table)?, &key) {
                    self.end_step();
                    self.push(&index);
                }
                Ok(())
            }
            Statement::Delete { with, table, alias, filter } => {
                if !(with.is_empty() || self.dialect.deletes_with_queries()) {
                    return Err(self.unsupported("to look elsewhere while it removes rows".into()));
                }
                self.with(with, |name| uses_in_expr(filter, name))?;
                let kept_in = self.dialect.kept_in(table);
                let table = self.dialect.quote_ident(kept_in.as_ref().unwrap_or(table))?
                    + &self.dialect.on_machines();
                let alias = self.alias(alias)?;
                let condition = self.aside(|p| p.expr(filter, Binding::Any, 0))?;
                let delete = self.dialect.delete(&table, &alias, &condition);
                self.push(&delete);
                Ok(())
            }
            Statement::AddColumn { table, column } => {
                if let Some(kept_in) = self.dialect.kept_in(table) {
                    self.add_column(&kept_in, column)?;
                    self.end_step();
                }
                self.add_column(table, column)
            }
            Statement::DropTemporary { table } => {
                self.push("DROP TABLE IF EXISTS ");
                self.ident(table)
            }
            Statement::ChangeType { table, column } => {
                let ty = self.type_to_change(table, column)?;
                let (table, name) = self.of_column(table, &column.name)?;
                let text = self.dialect.change_type(&table, &name, ty, column.nullable);
                self.push(&text);
                Ok(())
            }
            Statement::ChangeNull { table, column } => {
                let ty = self.type_to_change(table, column)?;
                let (table, name) = self.of_column(table, &column.name)?;
                let text = self.dialect.change_null(&table, &name, ty, column.nullable);
                self.push(&text);
                Ok(())
            }
            Statement::DropColumn { table, column } => {
                self.push("ALTER TABLE ");
                self.ident(table)?;
                self.push(" DROP COLUMN ");
                self.push(self.dialect.if_there());
                self.ident(column)
            }
            Statement::DropTable { table } => {
                self.push("DROP TABLE ");
                self.push(self.dialect.if_there());
                self.ident(table)
            }
            Statement::Refuse { message } => {
                let message = self.dialect.quote_text(message)?;
                let text = self.dialect.refuse(&message);
                self.push(&text);
                Ok(())
            }
        }
    }

    /// A table and its columns.
    fn create_table(
        &mut self,
        table: &Ident,
        columns: &[ColumnDecl],
        temporary: bool,
    ) -> Result<()> {
        self.push(if temporary { "CREATE TEMPORARY TABLE " } else { "CREATE TABLE " });
        if !temporary {
            self.push(self.dialect.if_missing());
        }
        self.ident(table)?;
        if !temporary {
            let on_machines = self.dialect.on_machines();
            self.push(&on_machines);
        }
        self.push(" (");
        for (i, column) in columns.iter().enumerate() {
            self.push(if i == 0 { "\n    " } else { ",\n    " });
            self.column_decl(column)?;
        }
        if let Some(address) = self.dialect.address_column() {
            self.push(",\n    ");
            self.push(&address);
        }
        self.push("\n)");
        Ok(())
    }

    fn add_column(&mut self, table: &Ident, column: &ColumnDecl) -> Result<()> {
        self.push("ALTER TABLE ");
        self.ident(table)?;
        let on_machines = self.dialect.on_machines();
        self.push(&on_machines);
        self.push(" ADD COLUMN ");
        self.push(self.dialect.if_missing());
        self.column_decl(column)
    }

    /// What rows are read from: a stored table, or what only this statement or connection has, whose
    /// name begins with `@`.
    fn relation(&mut self, relation: &Ident, is_alone: bool) -> Result<()> {
        let quoted = self.dialect.quote_ident(relation)?;
        let stays = is_alone || relation.as_str().starts_with('@');
        let brought = if stays { None } else { self.dialect.brought_here(&quoted) };
        self.push(&brought.unwrap_or(quoted));
        Ok(())
    }

    /// The type that a column is to have, where one machine has all of the table.
    fn type_to_change(
        &self,
        table: &Ident,
        column: &ColumnDecl,
    ) -> Result<crate::types::ColumnType> {
        let is_spread =
            self.dialect.kept_in(table).is_some() || !self.dialect.on_machines().is_empty();
        match column.ty {
            _ if is_spread => Err(self.unsupported("to change a column on a cluster".into())),
            SqlType::Column(ty) => Ok(ty),
            _ => Err(self.unsupported("to change a column of its own".into())),
        }
    }

    fn of_column(&self, table: &Ident, column: &Ident) -> Result<(String, String)> {
        Ok((self.dialect.quote_ident(table)?, self.dialect.quote_ident(column)?))
    }

    /// What a query relies on.
    fn settings(&mut self) {
        for (i, (name, value)) in self.dialect.query_settings().iter().enumerate() {
            let before = if i == 0 { "\nSETTINGS" } else { "," };
            write!(self.out, "{before} {name} = {value}").expect("writing to a string");
        }
    }

    fn column_decl(&mut self, column: &ColumnDecl) -> Result<()> {
        self.ident(&column.name)?;
        self.push(" ");
        let ty = match column.ty {
            SqlType::Column(ty) => self.dialect.declared_type(ty, column.nullable),
            SqlType::LocalTimestamp => self.dialect.local_timestamp(column.nullable),
            SqlType::Code => self.dialect.code_type().to_owned(),
            SqlType::Address => self.dialect.address_type().to_owned(),
        };
        self.push(&ty);
        Ok(())
    }

    /// What `print` writes, by itself. Depth and parentheses are as they would be here.
    fn aside(&mut self, print: impl FnOnce(&mut Self) -> Result<()>) -> Result<String> {
        let before = std::mem::take(&mut self.out);
        let result = print(self);
        let printed = std::mem::replace(&mut self.out, before);
        result.map(|()| printed)
    }

    /// Named parts; `uses` counts how often what follows them names one.
    fn with(&mut self, with: &[(Ident, Select)], uses: impl Fn(&Ident) -> usize) -> Result<()> {
        for (i, (name, select)) in with.iter().enumerate() {
            self.push(if i == 0 { "WITH " } else { ",\n" });
            self.ident(name)?;
            let later = with[i + 1..].iter().map(|(_, part)| uses_in_select(part, name));
            let latest = select.from.as_ref().and_then(|from| from.latest.as_deref());
            let few = latest.is_some_and(|latest| latest.few);
            let kind = self.dialect.named_part(later.sum::<usize>() + uses(name), few);
            writeln!(self.out, " {kind} (").expect("writing to a string");
            self.select(select, 1)?;
            self.push("\n)");
        }
        if !with.is_empty() {
            self.push("\n");
        }
        Ok(())
    }

    fn query(&mut self, query: &Query) -> Result<()> {
        self.with(&query.with, |name| uses_in_query(query, name))?;
        for (i, select) in query.union_all.iter().enumerate() {
            if i > 0 {
                self.push("\nUNION ALL\n");
                self.part_of_union(select, 0)?;
            } else {
                self.select(select, 0)?;
            }
        }
        Ok(())
    }

    /// A query whose rows come in order. Where `UNION ALL` does not see to it, the rows are numbered.
    fn ordered_query(&mut self, query: &Query) -> Result<()> {
        if query.union_all.len() < 2 || self.dialect.union_keeps_order() {
            return self.query(query);
        }
        self.with(&query.with, |name| uses_in_query(query, name))?;
        self.line(0, "SELECT");
        for (i, (_, column)) in query.union_all[0].columns.iter().enumerate() {
            self.push(if i == 0 { "\n    " } else { ",\n    " });
            self.ident(column)?;
        }
        self.line(0, "FROM (");
        for (i, select) in query.union_all.iter().enumerate() {
            if i > 0 {
                self.line(1, "UNION ALL");
            }
            let place = match (select.order_by.is_empty(), self.dialect.place_of_row()) {
                (true, _) => "0",
                (false, place) => place,
            };
            self.line(1, "SELECT *, ");
            writeln!(self.out, "{i} AS \"@select\", {place} AS \"@place\" FROM (")
                .expect("writing to a string");
            self.select(select, 2)?;
            self.line(1, ")");
        }
        self.line(0, ")");
        self.line(0, "ORDER BY \"@select\", \"@place\"");
        Ok(())
    }

    fn line(&mut self, depth: usize, clause: &str) {
        if !self.out.is_empty() && !self.out.ends_with('\n') && !self.out.ends_with('(') {
            self.push("\n");
        }
        for _ in 0..depth {
            self.push("    ");
        }
        self.push(clause);
    }

    fn select(&mut self, select: &Select, depth: usize) -> Result<()> {
        self.line(depth, if select.distinct { "SELECT DISTINCT" } else { "SELECT" });
        for (i, (expr, alias)) in select.columns.iter().enumerate() {
            if i > 0 {
                self.push(",");
            }
            self.line(depth + 1, "");
            self.expr(expr, Binding::Any, depth + 1)?;
            let is_name = matches!(expr, Expr::Column(_, column) if column == alias);
            if !is_name || self.dialect.names_every_column() {
                self.push(" AS ");
                self.ident(alias)?;
            }
        }
        if let Some(from) = &select.from {
            let is_alone = from.joins.is_empty() && !exprs_of(select).any(has_query);
            self.from(from, depth, is_alone)?;
        }
        let filter = match (self.by_address(select.from.as_ref()), &select.filter) {
            (Some(is_latest), Some(filter)) => Some(and([is_latest, filter.clone()])),
            (Some(is_latest), None) => Some(is_latest),
            (None, filter) => filter.clone(),
        };
        if let Some(filter) = &filter {
            self.line(depth, "WHERE ");
            self.expr(filter, Binding::Any, depth)?;
        }
        if !select.group_by.is_empty() {
            self.line(depth, "GROUP BY ");
            self.list(&select.group_by, ", ", depth)?;
        }
        if let Some(having) = &select.having {
            self.line(depth, "HAVING ");
            self.expr(having, Binding::Any, depth)?;
        }
        if !select.order_by.is_empty() {
            self.line(depth, "ORDER BY ");
            self.order(&select.order_by, depth)?;
        }
        if let Some(limit) = select.limit {
            self.line(depth, "LIMIT ");
            write!(self.out, "{limit}").expect("writing to a string");
        }
        for more in &select.union_all {
            self.line(depth, "UNION ALL");
            self.part_of_union(more, depth)?;
        }
        Ok(())
    }

    fn order(&mut self, order_by: &[Order], depth: usize) -> Result<()> {
        for (i, Order { expr, descending }) in order_by.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            if *descending && !self.dialect.nan_is_largest() && matches!(expr, Expr::Column(..)) {
                let is_nan = binary(expr.clone(), BinaryOp::NotEq, expr.clone());
                self.expr(&is_nan, Binding::Any, depth)?;
                self.push(" DESC NULLS LAST, ");
            }
            self.expr(expr, Binding::Any, depth)?;
            self.push(if *descending { " DESC NULLS LAST" } else { " NULLS LAST" });
        }
        Ok(())
    }

    /// Without parentheses an order or a limit would be taken for that of the whole.
    fn part_of_union(&mut self, select: &Select, depth: usize) -> Result<()> {
        if select.order_by.is_empty() && select.limit.is_none() {
            return self.select(select, depth);
        }
        self.line(depth, "(\n");
        self.select(select, depth + 1)?;
        self.line(depth, ")");
        Ok(())
    }

    /// That a row of the first relation is one of the latest, where that is found out by address.
    fn by_address(&self, from: Option<&From>) -> Option<Expr> {
        let (from, LatestRows::ByAddress) = (from?, self.dialect.latest_rows()) else {
            return None;
        };
        let latest = from.latest.as_deref()?;
        let address = |relation: &Ident| Expr::RowAddress(Some(relation.clone()));
        let last = [address(&latest.rows.first.alias), latest.order.clone()];
        let rows = Select {
            columns: vec![(call(Function::MaxBy, last), name("row"))],
            from: Some(latest.rows.clone()),
            filter: latest.filter.clone(),
            group_by: latest.among.clone(),
            ..Select::default()
        };
        let is_last = |rows| Expr::In(vec![address(&from.first.alias)], Box::new(rows));
        if !latest.mostly_once || !latest.rows.joins.is_empty() || latest.filter.is_some() {
            return Some(is_last(rows));
        }
        // Numbers are grouped in a third of the time that values and orders take, and a row whose number
        // nobody else has is the latest. That two records share one does no harm: both are looked at.
        let number = |alias: &Ident| {
            let of = |column: &Expr| match column {
                Expr::Column(_, name) => Expr::Column(Some(alias.clone()), name.clone()),
                other => other.clone(),
            };
            call(Function::Fingerprint, latest.among.iter().map(of))
        };
        let own = number(&latest.rows.first.alias);
        let repeated = || Select {
            columns: vec![(own.clone(), name("number"))],
            from: Some(latest.rows.clone()),
            group_by: vec![own.clone()],
            having: Some(binary(call(Function::CountAll, []), BinaryOp::Gt, int(1))),
            ..Select::default()
        };
        let among_repeated = Expr::In(vec![own.clone()], Box::new(repeated()));
        let is_repeated = Expr::In(vec![number(&from.first.alias)], Box::new(repeated()));
        Some(or([not(is_repeated), is_last(Select { filter: Some(among_repeated), ..rows })]))
    }

    /// The latest rows of a stored table, with their addresses, as a relation of their own.
    fn first_of_each(
        &mut self,
        latest: &Latest,
        order: &str,
        is_limit: bool,
        depth: usize,
    ) -> Result<()> {
        let Expr::Call(Function::RowOrder, parts) = &latest.order else {
            return Err(self.unsupported("another order of rows".to_owned()));
        };
        self.push("(\n");
        self.line(depth + 1, "SELECT");
        if !is_limit {
            self.push(" DISTINCT ON (");
            self.list(&latest.among, ", ", depth)?;
            self.push(")");
        }
        let rows = self.alias(&latest.rows.first.alias)?;
        let is_alone = latest.rows.joins.is_empty() && !latest.filter.iter().any(has_query);
        // Rows that are brought here have their addresses among their columns.
        if is_alone || self.dialect.brought_here("").is_none() {
            for address in self.dialect.row_address() {
                self.line(depth + 2, &format!("{rows}.{address},"));
            }
        }
        self.line(depth + 2, &format!("{rows}.*"));
        self.from(&latest.rows, depth + 1, is_alone)?;
        if let Some(filter) = &latest.filter {
            self.line(depth + 1, "WHERE ");
            self.expr(filter, Binding::Any, depth + 1)?;
        }
        self.line(depth + 1, "ORDER BY ");
        self.list(&latest.among, ", ", depth)?;
        self.push(", ");
        self.template(order, parts, depth)?;
        if is_limit {
            self.line(depth + 1, "LIMIT 1 BY ");
            self.list(&latest.among, ", ", depth)?;
        }
        self.line(depth, ")");
        Ok(())
    }

    /// `is_alone` says that the SELECT looks at nothing but the first relation.
    fn from(&mut self, from: &From, depth: usize, is_alone: bool) -> Result<()> {
        self.line(depth, "FROM ");
        match (&from.latest, self.dialect.latest_rows()) {
            (Some(latest), LatestRows::FirstOfEach { order }) => {
                self.first_of_each(latest, order, false, depth)?;
            }
            (Some(latest), LatestRows::LimitBy { order }) => {
                self.first_of_each(latest, order, true, depth)?;
            }
            _ => self.relation(&from.first.relation, is_alone)?,
        }
        self.push(" AS ");
        let alias = self.alias(&from.first.alias)?;
        self.push(&alias);
        for join in &from.joins {
            self.line(
                depth,
                match join.kind {
                    JoinKind::Inner => "INNER JOIN ",
                    JoinKind::Left => "LEFT JOIN ",
                    JoinKind::Full => "FULL JOIN ",
                },
            );
            self.relation(&join.source.relation, false)?;
            self.push(" AS ");
            let alias = self.alias(&join.source.alias)?;
            self.push(&alias);
            self.push(" ON ");
            self.expr(&join.on, Binding::Any, depth)?;
        }
        Ok(())
    }

    fn list(&mut self, exprs: &[Expr], separator: &str, depth: usize) -> Result<()> {
        for (i, expr) in exprs.iter().enumerate() {
            if i > 0 {
                self.push(separator);
            }
            self.expr(expr, Binding::Any, depth)?;
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr, around: Binding, depth: usize) -> Result<()> {
        let own = binding(expr);
        if own < around {
            self.push("(");
        }
        match expr {
            Expr::Column(relation, column) => {
                if let Some(relation) = relation {
                    let relation = self.alias(relation)?;
                    self.push(&relation);
                    self.push(".");
                }
                self.ident(column)?;
            }
            Expr::RowAddress(relation) => {
                let relation = match relation {
                    Some(relation) => self.alias(relation)? + ".",
                    None => String::new(),
                };
                let address = self.dialect.row_address_in(&relation);
                let address = address
                    .ok_or_else(|| self.unsupported("to address a row of a table".to_owned()))?;
                self.push(&address);
            }
            Expr::Literal(literal) => self.literal(literal)?,
            Expr::Call(function, args) => {
                let template = self.dialect.function(*function);
                if template.is_empty() {
                    return Err(self.unsupported(format!("the function {function:?}")));
                }
                self.template(template, args, depth)?;
            }
            Expr::Binary(left, op, right) => {
                self.expr(left, own, depth)?;
                if own <= Binding::And {
                    self.line(depth + 1, operator(*op));
                } else {
                    self.push(" ");
                    self.push(operator(*op));
                }
                self.push(" ");
                // The operators are associative, or do not chain: a right side of the same kind
                // gets parentheses only where it could be read otherwise.
                let right_binding = match own {
                    Binding::Comparison => Binding::Sum,
                    _ if *op == BinaryOp::Sub => Binding::Atom,
                    _ => own,
                };
                self.expr(right, right_binding, depth)?;
            }
            Expr::Compare(left, op, right) => {
                let plain = if self.dialect.nan_is_largest() {
                    binary((**left).clone(), *op, (**right).clone())
                } else {
                    without_nan_order(left, *op, right)
                };
                return self.expr(&plain, around, depth);
            }
            Expr::Not(inner) => {
                if let Expr::IsNull(value) = &**inner {
                    self.expr(value, Binding::Sum, depth)?;
                    self.push(" IS NOT NULL");
                } else {
                    self.push("NOT ");
                    self.expr(inner, Binding::Comparison, depth)?;
                }
            }
            Expr::IsNull(inner) => {
                self.expr(inner, Binding::Sum, depth)?;
                self.push(" IS NULL");
            }
            Expr::Case(whens, otherwise) => {
                self.push("CASE");
                for (when, then) in whens {
                    self.push(" WHEN ");
                    self.expr(when, Binding::Any, depth)?;
                    self.push(" THEN ");
                    self.expr(then, Binding::Any, depth)?;
                }
                if let Some(otherwise) = otherwise {
                    self.push(" ELSE ");
                    self.expr(otherwise, Binding::Any, depth)?;
                }
                self.push(" END");
            }
            Expr::Cast(inner, ty) => {
                self.push("CAST(");
                self.expr(inner, Binding::Any, depth)?;
                self.push(" AS ");
                let ty = match ty {
                    SqlType::Column(ty) => self.dialect.cast_type(*ty),
                    SqlType::Code => self.dialect.code_type().to_owned(),
                    SqlType::Address => self.dialect.address_type().to_owned(),
                    SqlType::LocalTimestamp => self.dialect.local_timestamp(true),
                };
                self.push(&ty);
                self.push(")");
            }
            Expr::In(tuple, query) => {
                if let [single] = tuple.as_slice() {
                    self.expr(single, Binding::Sum, depth)?;
                } else {
                    self.push("(");
                    self.list(tuple, ", ", depth)?;
                    self.push(")");
                }
                self.push(" IN (\n");
                self.select(query, depth + 2)?;
                self.line(depth + 1, ")");
            }
            Expr::Rank { among, order_by } => {
                self.push("rank() OVER (PARTITION BY ");
                self.list(among, ", ", depth)?;
                self.push(" ORDER BY ");
                self.order(order_by, depth)?;
                self.push(")");
            }
            Expr::JoinTexts { value, order_by } => {
                let (value, order_by) = self.ordered_group(value, order_by, depth)?;
                let text = self.dialect.join_texts(&value, &order_by);
                self.push(&text);
            }
            Expr::ListOf { value, order_by } => {
                let (value, order_by) = self.ordered_group(value, order_by, depth)?;
                let text = self.dialect.list_of(&value, &order_by);
                self.push(&text);
            }
            Expr::InList(value, list) => {
                self.expr(value, Binding::Sum, depth)?;
                self.push(" IN (");
                self.list(list, ", ", depth)?;
                self.push(")");
            }
            Expr::Scalar(query) => {
                self.push("(\n");
                self.select(query, depth + 2)?;
                self.line(depth + 1, ")");
            }
        }
        if own < around {
            self.push(")");
        }
        Ok(())
    }

    /// The value of each row of a group, and the values that the rows are ordered by.
    fn ordered_group(
        &mut self,
        value: &Expr,
        order_by: &[Expr],
        depth: usize,
    ) -> Result<(String, Vec<String>)> {
        let mut print = |expr| self.aside(|p| p.expr(expr, Binding::Any, depth));
        Ok((print(value)?, order_by.iter().map(print).collect::<Result<_>>()?))
    }

    /// Fills a spelling of [`crate::functions`].
    fn template(&mut self, template: &str, args: &[Expr], depth: usize) -> Result<()> {
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            self.push(&rest[..open]);
            if let Some(after) = rest[open..].strip_prefix("{{:}}") {
                self.push("{");
                for (i, pair) in args.chunks(2).enumerate() {
                    if i > 0 {
                        self.push(", ");
                    }
                    self.list(pair, ": ", depth)?;
                }
                self.push("}");
                rest = after;
                continue;
            }
            let close = open + rest[open..].find('}').expect("a closed placeholder");
            match &rest[open + 1..close] {
                ".." => self.list(args, ", ", depth)?,
                "1.." => self.list(&args[1..], ", ", depth)?,
                joined @ ("||" | "1||") => {
                    let first = usize::from(joined.starts_with('1'));
                    for (i, arg) in args[first..].iter().enumerate() {
                        if i > 0 {
                            self.push(" || ");
                        }
                        self.expr(arg, Binding::Atom, depth)?;
                    }
                }
                number => {
                    let (number, around) = match number.strip_suffix('!') {
                        Some(number) => (number, Binding::Atom),
                        None => (number, Binding::Any),
                    };
                    let index: usize = number.parse().expect("a numbered placeholder");
                    self.expr(&args[index], around, depth)?;
                }
            }
            rest = &rest[close + 1..];
        }
        self.push(rest);
        Ok(())
    }

    fn literal(&mut self, literal: &Literal) -> Result<()> {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(value) => self.push(if *value { "TRUE" } else { "FALSE" }),
            Literal::Int(value) => write!(self.out, "{value}").expect("writing to a string"),
            Literal::Text(value) => {
                let quoted = self.dialect.quote_text(value)?;
                self.push(&quoted);
            }
            Literal::Date(days) => {
                let text = self.dialect.date(*days);
                self.push(&text);
            }
            Literal::Timestamp(micros) => {
                let text = self.dialect.timestamp(*micros);
                self.push(&text);
            }
        }
        Ok(())
    }

    fn unsupported(&self, what: String) -> Error {
        Error::new(Reason::Unsupported { what, dialect: self.dialect.name() })
    }
}

fn uses_in_statement(statement: &Statement, name: &Ident) -> usize {
    let in_parts = |with: &[(Ident, Select)]| {
        with.iter().map(|(_, part)| uses_in_select(part, name)).sum::<usize>()
    };
    match statement {
        Statement::Query(query)
        | Statement::Insert { query, .. }
        | Statement::CreateTemporaryAs { query, .. }
        | Statement::CreateView { query, .. } => in_parts(&query.with) + uses_in_query(query, name),
        Statement::Delete { with, filter, .. } => in_parts(with) + uses_in_expr(filter, name),
        Statement::CreateTable { .. }
        | Statement::AddColumn { .. }
        | Statement::DropTemporary { .. }
        | Statement::ChangeType { .. }
        | Statement::ChangeNull { .. }
        | Statement::DropColumn { .. }
        | Statement::DropTable { .. }
        | Statement::Refuse { .. } => 0,
    }
}

fn uses_in_query(query: &Query, name: &Ident) -> usize {
    query.union_all.iter().map(|select| uses_in_select(select, name)).sum()
}

/// How often a SELECT names a relation.
fn uses_in_select(select: &Select, name: &Ident) -> usize {
    let of = |expr: &Expr| uses_in_expr(expr, name);
    let from = select.from.iter().map(|from| uses_in_from(from, name));
    let unions = select.union_all.iter().map(|more| uses_in_select(more, name));
    from.sum::<usize>() + exprs_of(select).map(of).sum::<usize>() + unions.sum::<usize>()
}

/// The values of a SELECT, without what its relations say.
fn exprs_of(select: &Select) -> impl Iterator<Item = &Expr> {
    (select.columns.iter().map(|(expr, _)| expr))
        .chain(&select.filter)
        .chain(&select.group_by)
        .chain(&select.having)
        .chain(select.order_by.iter().map(|order| &order.expr))
}

/// Whether a value is found by a query of its own.
fn has_query(expr: &Expr) -> bool {
    match expr {
        Expr::In(..) | Expr::Scalar(_) => true,
        Expr::Column(..) | Expr::RowAddress(_) | Expr::Literal(_) => false,
        Expr::Call(_, args) => args.iter().any(has_query),
        Expr::Binary(left, _, right) | Expr::Compare(left, _, right) => {
            has_query(left) || has_query(right)
        }
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::Cast(inner, _) => has_query(inner),
        Expr::Case(whens, otherwise) => {
            whens.iter().any(|(when, then)| has_query(when) || has_query(then))
                || otherwise.as_deref().is_some_and(has_query)
        }
        Expr::Rank { among, order_by } => {
            among.iter().any(has_query) || order_by.iter().any(|order| has_query(&order.expr))
        }
        Expr::JoinTexts { value, order_by } | Expr::ListOf { value, order_by } => {
            has_query(value) || order_by.iter().any(has_query)
        }
        Expr::InList(value, list) => has_query(value) || list.iter().any(has_query),
    }
}

fn uses_in_from(from: &From, name: &Ident) -> usize {
    let joins = from
        .joins
        .iter()
        .map(|join| usize::from(join.source.relation == *name) + uses_in_expr(&join.on, name));
    let latest = from.latest.iter().map(|latest| {
        let exprs = latest.filter.iter().chain(&latest.among).chain([&latest.order]);
        let exprs = exprs.map(|expr| uses_in_expr(expr, name));
        uses_in_from(&latest.rows, name) + exprs.sum::<usize>()
    });
    let first = usize::from(from.first.relation == *name);
    first + joins.sum::<usize>() + latest.sum::<usize>()
}

fn uses_in_expr(expr: &Expr, name: &Ident) -> usize {
    let of = |expr: &Expr| uses_in_expr(expr, name);
    let all = |exprs: &[Expr]| exprs.iter().map(of).sum::<usize>();
    match expr {
        Expr::Column(..) | Expr::RowAddress(_) | Expr::Literal(_) => 0,
        Expr::Call(_, args) => all(args),
        Expr::Binary(left, _, right) => of(left) + of(right),
        Expr::Compare(left, _, right) => of(left) + of(right),
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::Cast(inner, _) => of(inner),
        Expr::Case(whens, otherwise) => {
            let whens = whens.iter().map(|(when, then)| of(when) + of(then));
            whens.sum::<usize>() + otherwise.as_deref().map_or(0, of)
        }
        Expr::In(tuple, query) => all(tuple) + uses_in_select(query, name),
        Expr::Rank { among, order_by } => {
            all(among) + order_by.iter().map(|order| of(&order.expr)).sum::<usize>()
        }
        Expr::JoinTexts { value, order_by } | Expr::ListOf { value, order_by } => {
            of(value) + all(order_by)
        }
        Expr::InList(value, list) => of(value) + all(list),
        Expr::Scalar(query) => uses_in_select(query, name),
    }
}

fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "OR",
        BinaryOp::And => "AND",
        BinaryOp::Eq => "=",
        BinaryOp::NotEq => "<>",
        BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
        BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        BinaryOp::Lt => "<",
        BinaryOp::LtEq => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::GtEq => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
    }
}

/// A query whose columns all have a type: what is NULL in every row is a text.
fn typed(query: &Query) -> Query {
    let mut query = query.clone();
    let is_null = |select: &Select, i: usize| {
        matches!(select.columns.get(i), Some((Expr::Literal(Literal::Null), _)))
    };
    let n_columns = query.union_all.first().map_or(0, |select| select.columns.len());
    for i in (0..n_columns)
        .filter(|i| query.union_all.iter().all(|s| is_null(s, *i)))
        .collect::<Vec<_>>()
    {
        for select in &mut query.union_all {
            let text = SqlType::Column(ScalarType::Text.into());
            select.columns[i].0 = Expr::Cast(Box::new(Expr::Literal(Literal::Null)), text);
        }
    }
    query
}

/// A comparison in which NaN equals itself and is largest, for a database where it is neither. It is
/// NULL if a side is.
fn without_nan_order(left: &Expr, op: BinaryOp, right: &Expr) -> Expr {
    let compare = |op| binary(left.clone(), op, right.clone());
    // What differs from itself is NaN. Constants are not.
    let is_nan = |value: &Expr| match value {
        Expr::Literal(_) | Expr::Cast(..) => None,
        _ => Some(binary(value.clone(), BinaryOp::NotEq, value.clone())),
    };
    let both = |a: Option<Expr>, b: Option<Expr>| Some(and([a?, b?]));
    let is_number = |value: &Expr| Some(eq(value.clone(), value.clone()));
    let with = |op, nan: Option<Expr>| or([compare(op)].into_iter().chain(nan));
    match op {
        BinaryOp::Eq => with(op, both(is_nan(left), is_nan(right))),
        BinaryOp::NotEq => match both(is_nan(left), is_nan(right)) {
            None => compare(op),
            nan => not(with(BinaryOp::Eq, nan)),
        },
        BinaryOp::Lt => with(op, both(is_number(left), is_nan(right))),
        BinaryOp::Gt => with(op, both(is_number(right), is_nan(left))),
        BinaryOp::LtEq => with(op, both(Some(is_set(left.clone())), is_nan(right))),
        BinaryOp::GtEq => with(op, both(Some(is_set(right.clone())), is_nan(left))),
        _ => compare(op),
    }
}

fn binding(expr: &Expr) -> Binding {
    match expr {
        Expr::Binary(_, BinaryOp::Or, _) => Binding::Or,
        Expr::Binary(_, BinaryOp::And, _) => Binding::And,
        Expr::Binary(_, BinaryOp::Add | BinaryOp::Sub, _) => Binding::Sum,
        // What it becomes decides for itself.
        Expr::Compare(..) => Binding::Atom,
        Expr::Binary(..) | Expr::IsNull(_) | Expr::In(..) | Expr::InList(..) => Binding::Comparison,
        Expr::Not(inner) if matches!(**inner, Expr::IsNull(_)) => Binding::Comparison,
        Expr::Not(_) => Binding::Not,
        Expr::Literal(Literal::Int(value)) if *value < 0 => Binding::Sum,
        Expr::Column(..)
        | Expr::RowAddress(_)
        | Expr::Literal(_)
        | Expr::Call(..)
        | Expr::Case(..)
        | Expr::Cast(..)
        | Expr::Rank { .. }
        | Expr::JoinTexts { .. }
        | Expr::ListOf { .. }
        | Expr::Scalar(_) => Binding::Atom,
    }
}
