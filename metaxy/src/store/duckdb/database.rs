//! [`Database`]: one per file and process.
//!
//! DuckDB keeps other processes from a file that is open, but not the same process: opened twice
//! there, each of the two would overwrite what the other has written. So stores over one file share
//! one database, from the first that opens it to the last connection that is closed.
//!
//! One that is opened for reading only leaves the file to all other processes that do the same. Within
//! a process a store that only reads takes part in a database that may write, but not the other way
//! round: that would take a second opening. Likewise the first one's settings hold for all, and a store
//! that names others is refused.

use super::{database_error, hash, run};
use crate::error::{Error, Result};
use duckdb::{AccessMode, Config, Connection};
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::{Ident, print};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// The files that are open in this process, by their canonical paths.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Database>>>> = LazyLock::new(Mutex::default);
/// Told whenever one of them was closed.
static CLOSED: Condvar = Condvar::new();

/// How many connections wait for the next call.
const IDLE: usize = 8;

/// Settings of DuckDB, by their names.
pub(super) type DatabaseSettings = BTreeMap<String, String>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open database.
pub(super) struct Database {
    /// Others are made from it; it runs nothing itself. Gone while the database is being closed.
    connection: Mutex<Option<Connection>>,
    /// Those that nobody uses, as good as new. To ask a new one what tables there are takes milliseconds longer:
    /// DuckDB parses some fifty views of its own for each.
    idle: Mutex<Vec<Connection>>,
    /// Held by the write that is being appended.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Whether nothing can be written through it.
    read_only: bool,
    /// What was set when it was opened.
    settings: DatabaseSettings,
    /// Where it is listed in [`OPEN`]; nowhere if it is in memory.
    file: Option<PathBuf>,
}

impl Database {
    /// Opens a file, or takes part in it if this process has it open.
    pub(super) fn open(
        path: &str,
        read_only: bool,
        settings: DatabaseSettings,
    ) -> Result<Arc<Self>> {
        if path == ":memory:" {
            if read_only {
                return Err(Error::NoStore { place: "memory".to_owned() });
            }
            let connection = Connection::open_in_memory_with_flags(config(false, &settings)?);
            return Ok(Arc::new(Self::connected(None, connection, false, settings)?));
        }
        let file = canonical(Path::new(path));
        let mut open = lock(&OPEN);
        while let Some(listed) = open.get(&file) {
            if let Some(database) = listed.upgrade() {
                if database.read_only && !read_only {
                    return Err(Error::OpenForReading { path: path.to_owned() });
                }
                database.check(path, &settings)?;
                return Ok(database);
            }
            // It is being closed, which writes to the file.
            open = CLOSED.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        if read_only && !file.exists() {
            return Err(Error::NoStore { place: path.to_owned() });
        }
        let connection = Connection::open_with_flags(path, config(read_only, &settings)?);
        let database = Self::connected(Some(file.clone()), connection, read_only, settings)?;
        let database = Arc::new(database);
        open.insert(file, Arc::downgrade(&database));
        Ok(database)
    }

    fn connected(
        file: Option<PathBuf>,
        connection: duckdb::Result<Connection>,
        read_only: bool,
        settings: DatabaseSettings,
    ) -> Result<Self> {
        let connection = connection.map_err(database_error)?;
        hash::register(&connection).map_err(database_error)?;
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            idle: Mutex::default(),
            writing: Arc::default(),
            read_only,
            settings,
            file,
        })
    }

    /// Refuses settings that it was not opened with; whoever names none takes what is there.
    fn check(&self, path: &str, settings: &DatabaseSettings) -> Result<()> {
        match settings.iter().find(|(name, value)| self.settings.get(*name) != Some(value)) {
            Some((name, value)) => Err(Error::Url {
                url: format!("duckdb:{path}?{name}={value}"),
                problem: "this process has the file open without this setting; name it in the \
                          address that is opened first"
                    .to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// A connection of one's own.
    pub(super) fn connect(self: &Arc<Self>) -> Result<Link> {
        let idle = lock(&self.idle).pop();
        let connection = match (idle, &*lock(&self.connection)) {
            (Some(connection), _) => connection,
            (None, Some(connection)) => connection.try_clone().map_err(database_error)?,
            (None, None) => unreachable!("a database that somebody has is not being closed"),
        };
        let database = Arc::clone(self);
        Ok(Link { connection: Some(connection), database, left: Left::default() })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Every other connection has kept this alive, so the file is closed with these.
        lock(&self.idle).clear();
        drop(lock(&self.connection).take());
        if let Some(file) = &self.file {
            lock(&OPEN).remove(file);
            CLOSED.notify_all();
        }
    }
}

/// A connection, and the database that it keeps open. When it is dropped, what was not committed was never
/// there, and its temporary tables are gone; then somebody else may have it.
pub(super) struct Link {
    /// Gone while it is being dropped.
    connection: Option<Connection>,
    database: Arc<Database>,
    left: Left,
}

/// What the next one who has a connection must not find.
#[derive(Default)]
struct Left {
    /// A transaction that has not ended, and the temporary tables that were made in it.
    transaction: Option<Vec<Ident>>,
    /// Temporary tables.
    temporary: Vec<Ident>,
    /// Whatever somebody's own statements may leave.
    anything: bool,
}

impl Link {
    /// Whose it is, it is the turn to write.
    pub(super) fn writing(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.database.writing)
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> Result<()> {
        run(self, "BEGIN TRANSACTION")?;
        self.left.transaction = Some(Vec::new());
        Ok(())
    }

    /// Ends it: all that was done is there.
    pub(super) fn commit(&mut self) -> Result<()> {
        run(self, "COMMIT")?;
        self.left.temporary.extend(self.left.transaction.take().into_iter().flatten());
        Ok(())
    }

    /// Ends it: nothing was done.
    pub(super) fn rollback(&mut self) -> Result<()> {
        run(self, "ROLLBACK")?;
        self.left.transaction = None;
        Ok(())
    }

    /// Runs a statement; the number of rows that it changed.
    pub(super) fn execute(&mut self, statement: &Statement) -> Result<u64> {
        if let Statement::CreateTemporaryAs { table, .. }
        | Statement::CreateTable { table, temporary: true, .. } = statement
        {
            let Left { transaction, temporary, .. } = &mut self.left;
            transaction.as_mut().unwrap_or(temporary).push(table.clone());
        }
        run(self, &print(statement, &DuckDbDialect)?)
    }

    /// Runs somebody's own statements.
    pub(super) fn script(&mut self, sql: &str) -> Result<()> {
        tracing::debug!(sql, "script");
        self.left.anything = true;
        self.execute_batch(sql).map_err(database_error)
    }

    /// Takes away what the next one must not find.
    fn clean(&mut self) -> Result<()> {
        if self.left.transaction.is_some() {
            self.rollback()?;
        }
        let tables = std::mem::take(&mut self.left.temporary);
        tables
            .into_iter()
            .try_for_each(|table| self.execute(&Statement::DropTemporary { table }).map(drop))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // One that is closed leaves nothing either.
        let is_as_new = !self.left.anything && !std::thread::panicking() && self.clean().is_ok();
        let connection = self.connection.take().filter(|_| is_as_new);
        let mut idle = lock(&self.database.idle);
        if idle.len() < IDLE {
            idle.extend(connection);
        }
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("a link has its connection until it is dropped"),
        }
    }
}

/// Nothing is ever fetched behind the user's back, unless a setting asks for it.
fn config(read_only: bool, settings: &DatabaseSettings) -> Result<Config> {
    let mode = if read_only { AccessMode::ReadOnly } else { AccessMode::Automatic };
    let ours = [("autoload_known_extensions", "false"), ("autoinstall_known_extensions", "false")];
    let named = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ours.into_iter()
        .chain(named)
        .try_fold(
            Config::default().access_mode(mode).map_err(database_error)?,
            |config, (name, value)| config.with(name, value),
        )
        .map_err(database_error)
}

/// One path for a file, however it is written, also if it is not there yet.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts;
    use super::*;
    use metaxy_sql::ast::{Expr, Query, Select};
    use metaxy_sql::literal::Literal;

    fn temporary() -> Statement {
        let columns = vec![(Expr::Literal(Literal::Int(1)), Ident::new("n").expect("a name"))];
        let select = Select { columns, ..Select::default() };
        let query = Query { with: Vec::new(), union_all: vec![select] };
        Statement::CreateTemporaryAs { table: Ident::new("@kept").expect("a name"), query }
    }

    fn n_idle(database: &Database) -> usize {
        lock(&database.idle).len()
    }

    #[test]
    fn a_connection_is_as_new_when_it_is_used_again() {
        let database =
            Database::open(":memory:", false, DatabaseSettings::new()).expect("a database");
        let acts: [fn(&mut Link) -> Result<()>; 4] = [
            |link| link.execute(&temporary()).map(drop),
            |link| {
                link.begin()?;
                link.execute(&temporary())?;
                link.commit()
            },
            |link| {
                link.begin()?;
                link.execute(&temporary())?;
                link.rollback()
            },
            |link| {
                link.begin()?;
                link.execute(&temporary()).map(drop)
            },
        ];
        for act in acts {
            let mut link = database.connect().expect("a connection");
            assert_eq!(n_idle(&database), 0, "the only one is in use");
            act(&mut link).expect("statements that can be run");
            drop(link);
            assert_eq!(n_idle(&database), 1);

            let mut link = database.connect().expect("the same connection");
            let left = "SELECT table_name FROM duckdb_tables() WHERE temporary";
            assert!(texts(&link, left).expect("its tables").is_empty());
            link.begin().expect("no transaction is open");
        }
    }

    #[test]
    fn a_connection_on_which_anything_may_have_happened_is_closed() {
        let database =
            Database::open(":memory:", false, DatabaseSettings::new()).expect("a database");
        let mut link = database.connect().expect("a connection");
        link.script("SET threads = 1").expect("a setting");
        drop(link);
        assert_eq!(n_idle(&database), 0);

        let mut link = database.connect().expect("a connection");
        link.begin().expect("a transaction");
        // It ends behind the back of who keeps count of it.
        run(&link, "COMMIT").expect("an end");
        drop(link);
        assert_eq!(n_idle(&database), 0);
    }
}
