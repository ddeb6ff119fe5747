//! What in the files destroys, locks or rewrites: told from the words of each statement, whoever wrote it.

use super::files::Migrations;
use super::schema::Engine;
use crate::error::{Error, Result};
use crate::store::sql::script;
use metaxy_sql::dialect::{Change, Effect};
use sqlparser::dialect::dialect_from_str;
use sqlparser::tokenizer::Token;
use std::collections::HashSet;
use std::fmt;

/// What a statement does that one wants to know of before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Danger {
    /// Rows or values are gone afterwards.
    Destroys,
    /// Others wait for it, or it for others.
    Locks,
    /// It reads or writes all rows of a table.
    Rewrites,
}

impl Danger {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Destroys, Self::Locks, Self::Rewrites];

    /// Its name: the verb.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Destroys => "destroys",
            Self::Locks => "locks",
            Self::Rewrites => "rewrites",
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Something that one wants to know of a migration before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The version of the migration.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub danger: Danger,
    /// The table that it is about.
    pub table: String,
    /// What happens.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, name, danger, table, what } = self;
        write!(f, "{version} {name}: {danger} `{table}`: {what}")
    }
}

impl Migrations {
    /// What in the files destroys, locks or rewrites, in their order.
    ///
    /// # Errors
    /// When a file cannot be read as SQL.
    pub fn lint(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for file in &self.files {
            for (danger, table, what) in of_text(&file.up, self.engine())? {
                let (version, name) = (file.version, file.name.clone());
                findings.push(Finding { version, name, danger, table, what: what.to_owned() });
            }
        }
        Ok(findings)
    }
}

/// What a text does, each with the table that it is about.
fn of_text(sql: &str, engine: Engine) -> Result<Vec<(Danger, String, &'static str)>> {
    let dialect = dialect_from_str(engine.id())
        .ok_or_else(|| Error::internal(format!("nobody can read the SQL of {engine}")))?;
    let mut found = Vec::new();
    // Nobody waits for a table that is made here, and nothing of it is lost.
    let mut own = HashSet::new();
    for statement in script::statements(sql, &*dialect)? {
        let words = Words(&statement.tokens);
        for (danger, table, what) in words.parts().flat_map(|part| of_statement(part, engine)) {
            if !own.contains(&table) && !table.starts_with('@') {
                found.push((danger, table, what));
            }
        }
        // One that is there is left as it is.
        if words.make_table() && !words.has(&["IF", "NOT", "EXISTS"]) {
            own.extend(words.name_after(&["TABLE"]));
        }
    }
    Ok(found)
}

fn of_statement(words: Words<'_>, engine: Engine) -> Vec<(Danger, String, &'static str)> {
    use Danger::{Destroys, Locks, Rewrites};
    let of = |after: &[&str], all: &[(Danger, &'static str)]| {
        let table = words.name_after(after).unwrap_or_default();
        all.iter().map(|(danger, what)| (*danger, table.clone(), *what)).collect::<Vec<_>>()
    };
    // What it does whatever the database is, and then what it does in this one.
    let change = |after: &[&str], anyhow: &[(Danger, &'static str)], change: Change| {
        let here = engine.dialect().effects(change).iter().map(|effect| match effect {
            Effect::Locks(what) => (Locks, *what),
            Effect::Rewrites(what) => (Rewrites, *what),
        });
        of(after, &anyhow.iter().copied().chain(here).collect::<Vec<_>>())
    };
    let all = "all rows are written again";
    if words.begin(&["DROP", "TABLE"])
        || (words.make_table() && words.begin(&["CREATE", "OR", "REPLACE"]))
    {
        return of(&["TABLE"], &[(Destroys, "all rows are gone")]);
    }
    for (kind, what) in [
        ("SCHEMA", "all tables in it are gone"),
        ("DATABASE", "all tables in it are gone"),
        ("VIEW", "whoever reads it fails"),
    ] {
        if words.begin(&["DROP", kind]) || words.begin(&["DROP", "MATERIALIZED", kind]) {
            return of(&[kind], &[(Destroys, what)]);
        }
    }
    if words.begin(&["TRUNCATE"]) {
        return of(&["TRUNCATE"], &[(Destroys, "all rows are gone")]);
    }
    if words.begin(&["DELETE"]) {
        return of(&["FROM"], &[(Destroys, "rows are removed")]);
    }
    if words.begin(&["UPDATE"]) {
        return of(&["UPDATE"], &[(Destroys, "values are replaced")]);
    }
    if words.begin(&["INSERT"]) && words.has(&["SELECT"]) && words.has(&["FROM"]) {
        return match words.name_after(&["INTO"]) {
            // Notes of a line or two.
            Some(table) if table.starts_with("metaxy_system__") => Vec::new(),
            _ => of(&["INTO"], &[(Rewrites, "rows are appended that are made of stored ones")]),
        };
    }
    let makes_index =
        words.begin(&["CREATE", "INDEX"]) || words.begin(&["CREATE", "UNIQUE", "INDEX"]);
    if makes_index && !words.has(&["CONCURRENTLY"]) {
        return change(&["ON"], &[], Change::MakeIndex);
    }
    if !words.begin(&["ALTER", "TABLE"]) {
        return Vec::new();
    }
    if words.has(&["DROP", "PARTITION"]) {
        return of(&["TABLE"], &[(Destroys, "the rows of a partition are gone")]);
    }
    if words.drop_column() {
        let values = [(Destroys, "the values of a column are gone")];
        return change(&["TABLE"], &values, Change::DropColumn);
    }
    if words.has(&["DELETE", "WHERE"]) {
        return of(&["TABLE"], &[(Destroys, "rows are removed"), (Rewrites, all)]);
    }
    // And not what becomes of a reference when the row that it is to is changed.
    if words.has(&["UPDATE"]) && !words.has(&["ON", "UPDATE"]) {
        return of(&["TABLE"], &[(Destroys, "values are replaced"), (Rewrites, all)]);
    }
    if words.has(&["MODIFY", "COLUMN"]) {
        return of(&["TABLE"], &[(Rewrites, "the column is written again")]);
    }
    let changes = [
        (&["DROP", "NOT", "NULL"][..], Change::AllowNull),
        (&["ADD", "COLUMN"], Change::AddColumn),
        (&["SET", "NOT", "NULL"], Change::ForbidNull),
        (&["TYPE"], Change::ChangeType),
    ];
    let known = changes.into_iter().find(|(said, _)| words.has(said));
    change(&["TABLE"], &[], known.map_or(Change::Other, |(_, change)| change))
}

/// The words of a statement.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [Token]);

impl Words<'_> {
    /// Whether a place in the statement has a word, which is no name.
    fn is(self, at: usize, word: &str) -> bool {
        matches!(self.0.get(at), Some(Token::Word(found))
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    fn are(self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| self.is(at + i, word))
    }

    fn begin(self, words: &[&str]) -> bool {
        self.are(0, words)
    }

    fn has(self, words: &[&str]) -> bool {
        (0..self.0.len()).any(|at| self.are(at, words))
    }

    fn is_any(self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    /// The statement; of one with queries before it (`WITH x AS (..) DELETE ..`) what in it changes rows.
    fn parts(self) -> impl Iterator<Item = Self> {
        let is_with = self.begin(&["WITH"]);
        let is_part = move |at: &usize| match at.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some(Token::LParen | Token::RParen) => {
                is_with && self.is_any(*at, &["DELETE", "UPDATE", "INSERT"])
            }
            Some(_) => false,
            None => true,
        };
        (0..self.0.len()).filter(is_part).map(move |at| Self(&self.0[at..]))
    }

    /// Whether it makes a table, of whatever kind.
    fn make_table(self) -> bool {
        const KINDS: [&str; 5] = ["OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED"];
        let kind = (1..self.0.len()).find(|at| !self.is_any(*at, &KINDS));
        self.begin(&["CREATE"]) && kind.is_some_and(|at| self.is(at, "TABLE"))
    }

    /// Whether it drops a column, which is not always called one, and nothing else that can be dropped of
    /// a table.
    fn drop_column(self) -> bool {
        const OTHERS: [&str; 8] = [
            "CONSTRAINT",
            "DEFAULT",
            "EXPRESSION",
            "IDENTITY",
            "INDEX",
            "NOT",
            "PROJECTION",
            "STATISTICS",
        ];
        (0..self.0.len()).any(|at| self.is(at, "DROP") && !self.is_any(at + 1, &OTHERS))
    }

    /// The name that follows some words: of one with dots the last part.
    fn name_after(self, words: &[&str]) -> Option<String> {
        let mut at = (0..self.0.len()).find(|at| self.are(*at, words))? + words.len();
        while self.is_any(at, &["IF", "NOT", "EXISTS", "ONLY", "TABLE"]) {
            at += 1;
        }
        while matches!(self.0.get(at + 1), Some(Token::Period)) {
            at += 2;
        }
        match self.0.get(at) {
            Some(Token::Word(word)) => Some(word.value.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(engine: Engine, sql: &str) -> Vec<String> {
        let found = of_text(sql, engine).expect("SQL");
        found.into_iter().map(|(danger, table, _)| format!("{danger} {table}")).collect()
    }

    #[test]
    fn what_is_destroyed_locked_and_rewritten() {
        let cases: [(&str, [&[&str]; 3]); 31] = [
            ("DROP TABLE IF EXISTS \"a__b\"", [&["destroys a__b"]; 3]),
            ("drop table s.a", [&["destroys a"]; 3]),
            (
                "ALTER TABLE a DROP COLUMN \"c\"",
                [&["destroys a"], &["destroys a", "locks a"], &["destroys a", "rewrites a"]],
            ),
            ("ALTER TABLE a ADD COLUMN \"DROP COLUMN\" INTEGER", [&[], &["locks a"], &[]]),
            ("ALTER TABLE a ALTER COLUMN c DROP NOT NULL", [&[], &["locks a"], &[]]),
            (
                "ALTER TABLE a ALTER COLUMN c TYPE bigint",
                [&["rewrites a"], &["locks a", "rewrites a"], &["rewrites a"]],
            ),
            ("ALTER TABLE a MODIFY COLUMN c Int64", [&["rewrites a"]; 3]),
            ("ALTER TABLE a DELETE WHERE x", [&["destroys a", "rewrites a"]; 3]),
            ("INSERT INTO a (x) SELECT x FROM b", [&["rewrites a"]; 3]),
            ("INSERT INTO metaxy_system__rebases (x) SELECT x FROM b", [&[]; 3]),
            (
                "CREATE TABLE a (x int); CREATE INDEX ON a (x); INSERT INTO a SELECT 1 FROM b",
                [&[]; 3],
            ),
            ("CREATE INDEX ON a (x)", [&["rewrites a"], &["locks a"], &["rewrites a"]]),
            ("CREATE UNIQUE INDEX i ON a (x)", [&["rewrites a"], &["locks a"], &["rewrites a"]]),
            (
                "ALTER TABLE a DROP c",
                [&["destroys a"], &["destroys a", "locks a"], &["destroys a", "rewrites a"]],
            ),
            (
                "ALTER TABLE a DROP IF EXISTS \"constraint\"",
                [&["destroys a"], &["destroys a", "locks a"], &["destroys a", "rewrites a"]],
            ),
            ("ALTER TABLE a DROP CONSTRAINT c", [&[], &["locks a"], &[]]),
            ("ALTER TABLE a ALTER c DROP DEFAULT", [&[], &["locks a"], &[]]),
            ("ALTER TABLE a DROP PARTITION 'p'", [&["destroys a"]; 3]),
            ("CREATE TABLE a (x int); DELETE FROM a", [&[]; 3]),
            ("CREATE TEMP TABLE a (x int); DELETE FROM a", [&[]; 3]),
            ("CREATE TABLE IF NOT EXISTS a (x int); DELETE FROM a", [&["destroys a"]; 3]),
            ("CREATE OR REPLACE TABLE a (x int); DELETE FROM a", [&["destroys a"]; 3]),
            ("CREATE TABLE a (x int); CREATE OR REPLACE TABLE a (y int)", [&[]; 3]),
            ("CREATE OR REPLACE VIEW a AS SELECT 1", [&[]; 3]),
            ("WITH x AS (SELECT 1 FROM b) DELETE FROM a", [&["destroys a"]; 3]),
            ("WITH x AS (DELETE FROM a RETURNING y) SELECT y FROM x", [&["destroys a"]; 3]),
            (
                "WITH x AS (UPDATE a SET y = 1 RETURNING y) INSERT INTO b SELECT y FROM x",
                [&["destroys a", "rewrites b"]; 3],
            ),
            ("WITH x AS (SELECT 1) SELECT \"DELETE\" FROM x", [&[]; 3]),
            ("DROP SCHEMA s CASCADE", [&["destroys s"]; 3]),
            ("DROP DATABASE IF EXISTS d", [&["destroys d"]; 3]),
            ("DROP VIEW v; DROP MATERIALIZED VIEW w", [&["destroys v", "destroys w"]; 3]),
        ];
        for (sql, expected) in cases {
            for (engine, expected) in Engine::ALL.into_iter().zip(expected) {
                assert_eq!(lint(engine, sql), expected, "{engine}: {sql}");
            }
        }
    }
}
