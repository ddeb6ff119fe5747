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

use super::{database_error, hash, quoted, texts};
use crate::error::{Error, Result};
use duckdb::{AccessMode, Config, Connection};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// The files that are open in this process, by their canonical paths.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Database>>>> = LazyLock::new(Mutex::default);
/// Told whenever one of them was closed.
static CLOSED: Condvar = Condvar::new();

/// Settings of DuckDB, by their names.
pub(super) type DatabaseSettings = BTreeMap<String, String>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open database.
pub(super) struct Database {
    /// Others are made from it; no call runs anything on it. Gone while the database is being closed.
    connection: Mutex<Option<Connection>>,
    /// Held by the write that is being appended.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Whether nothing can be written through it.
    read_only: bool,
    /// What was set when it was opened.
    settings: DatabaseSettings,
    /// Where its tables are: the names of the database and its schema, quoted.
    place: String,
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
                // Whoever else has it may let go of it meanwhile, and it is closed here, which takes the lock.
                drop(open);
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
        let place = texts(&connection, "SELECT current_database(), current_schema()")?;
        let place = place.into_iter().flatten().map(|name| quoted(&name));
        let place = place.collect::<Result<Vec<_>>>()?.join(".");
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            writing: Arc::default(),
            read_only,
            settings,
            place,
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
        let connection = match &*lock(&self.connection) {
            Some(connection) => connection.try_clone().map_err(database_error)?,
            None => unreachable!("a database that somebody has is not being closed"),
        };
        Ok(Link { connection, database: Arc::clone(self) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Every other connection has kept this alive, so the file is closed with this one.
        drop(lock(&self.connection).take());
        if let Some(file) = &self.file {
            lock(&OPEN).remove(file);
            CLOSED.notify_all();
        }
    }
}

/// A connection, and the database that it keeps open. Fields are dropped in this order.
pub(super) struct Link {
    connection: Connection,
    database: Arc<Database>,
}

impl Link {
    /// Whose it is, it is the turn to write.
    pub(super) fn writing(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.database.writing)
    }

    /// Where the tables of the database are: what stands before the dot and their names.
    pub(super) fn place(&self) -> &str {
        &self.database.place
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Nothing is ever fetched behind the user's back, unless a setting asks for it.
fn config(read_only: bool, settings: &DatabaseSettings) -> Result<Config> {
    let mode = if read_only { AccessMode::ReadOnly } else { AccessMode::Automatic };
    let ours = [
        ("autoload_known_extensions", "false"),
        ("autoinstall_known_extensions", "false"),
        // We ask for tables that are not there, and the first look for similar names takes longer than all the rest.
        ("catalog_error_max_schemas", "0"),
    ];
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
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Somebody who is refused can be the last who has it: the others close it while they read the settings.
    #[test]
    fn a_database_is_closed_by_one_who_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("meta.duckdb").to_str().expect("a path").to_owned();
        let database = Database::open(&path, false, DatabaseSettings::new()).expect("a database");
        let (sender, receiver) = mpsc::channel();
        let settings = DatabaseSettings::from([("threads".to_owned(), "1".repeat(200 << 20))]);
        let refused = path.clone();
        std::thread::spawn(move || {
            let refused = Database::open(&refused, false, settings).map(drop);
            let _ = sender.send(refused.is_err());
        });
        while Arc::strong_count(&database) == 1 {
            std::hint::spin_loop();
        }
        drop(database);
        let refused = receiver.recv_timeout(Duration::from_secs(30));
        assert_eq!(refused, Ok(true), "it waits for itself");
        drop(Database::open(&path, false, DatabaseSettings::new()).expect("the same file again"));
    }
}
