//! [`Postgres`]: a schema of a Postgres database, over a pool of connections.
//!
//! # What holds here
//!
//! - **Writers take turns**, from however many processes: a transaction that writes holds an advisory
//!   lock for each table that it appends to (H15), until it ends. It begins to look at the table when
//!   it has the lock, and sees all that was committed before.
//! - **Readers wait for nobody**: a call that reads sees one snapshot.
//! - **Nothing is in between**: what a call does is one transaction. When a connection breaks, or the
//!   server stops, it was never there.
//! - **Connections come from a pool.** One that was in the middle of something when its call ended is
//!   closed, and the server ends what it was at; temporary tables are dropped before one goes back. One of
//!   a pool of the user goes back with the settings that it came with.
//!
//! Rows travel in the binary format of `COPY`, both ways: see [`encode`] and [`decode`].

mod connection;
mod decode;
mod encode;
mod errors;
mod oid;
#[cfg(test)]
mod tests;
mod xxhash;

use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::retry::Tries;
use crate::store::sql::{self, Engine};
use connection::PostgresConnection;
use futures::future::{BoxFuture, FutureExt};
use md5::{Digest, Md5};
use metaxy_sql::dialect::Postgres as Sql;
use metaxy_sql::{Dialect, Ident};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The first version that has what statements use.
const MIN_VERSION: i64 = 140_000;

/// What a stream of `COPY` begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Days and points in time are counted from 2000-01-01 there, and from 1970-01-01 here.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// A schema of a database.
#[derive(Clone)]
pub(crate) struct Postgres {
    pool: PgPool,
    /// What tells how a connection of somebody else's pool is set, and then sets it as we need it.
    lend: Option<String>,
    place: Arc<Place>,
}

/// What connections have to know of where they are.
pub(super) struct Place {
    /// The database and the schema: what writers take turns for.
    name: String,
}

impl Place {
    /// The number of the advisory lock of a table; that of no table is for making tables.
    fn lock(&self, table: &str) -> i64 {
        let digest = Md5::digest(format!("metaxy\0{}\0{table}", self.name));
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(bytes)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("place", &self.place.name).finish_non_exhaustive()
    }
}

/// What a store asks of its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The schema of its tables; without one, that of the connection.
    pub(crate) schema: Option<String>,
    /// How long a statement may take, as Postgres writes it: milliseconds, or with a unit.
    pub(crate) statement_timeout: Option<String>,
    /// Whether functions for xxHash are made.
    pub(crate) install_xxhash: bool,
}

impl Options {
    /// Refuses what was asked for a store in another database.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let asked = [
            ("schema", self.schema.clone()),
            ("statement_timeout", self.statement_timeout.clone()),
            ("install_xxhash", self.install_xxhash.then(|| "true".to_owned())),
        ];
        let problem = "only a store in Postgres has it";
        let asked = asked.into_iter().find_map(|(setting, value)| Some((setting, value?)));
        match asked {
            Some((setting, value)) => Err(Error::Setting { setting, value, problem }),
            None => Ok(()),
        }
    }

    /// The settings, by name and value as SQL writes it.
    fn settings(&self) -> Result<Vec<(&'static str, String)>> {
        let mut settings = vec![
            // Compiling a statement of many small parts takes longer than running it.
            ("jit", "off".to_owned()),
            // The parts of `UNION ALL` come one after the other.
            ("enable_parallel_append", "off".to_owned()),
            // Nobody knows how many rows a part of a statement has: where few are guessed and there are
            // many, a nested loop takes hours.
            ("enable_nestloop", "off".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            // Days are ids, and the texts of ids are hashed.
            ("datestyle", "'ISO'".to_owned()),
        ];
        if let Some(schema) = &self.schema {
            settings.push(("search_path", Sql.quote_ident(&Ident::new(schema)?)?));
        }
        if let Some(timeout) = &self.statement_timeout {
            settings.push(("statement_timeout", Sql.quote_text(timeout)?));
        }
        Ok(settings)
    }
}

/// Whether an address is one of Postgres.
pub(crate) fn is_address(address: &str) -> bool {
    address.starts_with("postgres:") || address.starts_with("postgresql:")
}

impl Postgres {
    /// The schema that an address names: `postgres://user:password@host:5432/database`, with what the
    /// driver knows as parameters (`?host=/directory/of/a/socket`, `sslmode`, ..) and two of ours,
    /// `schema` and `statement_timeout`.
    pub(crate) async fn open(address: &str, mut options: Options) -> Result<Self> {
        let connect = connect_options(address, &mut options, cfg!(feature = "tls"))?;
        let set = set(&options.settings()?);
        // A pool waits half a minute for a server that is not there, and does not tell what it does not take.
        let mut first = PgConnection::connect_with(&connect).await.map_err(errors::of)?;
        first.execute(sqlx::raw_sql(AssertSqlSafe(set.clone()))).await.map_err(errors::of)?;
        first.close().await.map_err(errors::of)?;
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .after_connect(move |connection, _| {
                let set = set.clone();
                Box::pin(async move {
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(set))).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(connect);
        Self::of_pool(pool, None, &options).await
    }

    /// The same over somebody else's pool, whose connections are given back as they were.
    pub(crate) async fn from_pool(pool: PgPool, options: &Options) -> Result<Self> {
        let settings = options.settings()?;
        let names = settings.iter().map(|(name, _)| *name).chain([WORK_MEM, CHECK_INTERVAL]);
        let names: Vec<_> = names.map(|name| format!("'{name}'")).collect();
        // The statement that sets them again as they are: `RESET` would know nothing of what their owner
        // has set.
        let restore = format!(
            "SELECT 'SELECT ' || string_agg(format('set_config(%L, %L, false)', name, \
             current_setting(name)), ', ') FROM unnest(ARRAY[{}]) AS name",
            names.join(", ")
        );
        let lend = format!("{restore}; {}", set(&settings));
        Self::of_pool(pool, Some(lend), options).await
    }

    async fn of_pool(pool: PgPool, lend: Option<String>, options: &Options) -> Result<Self> {
        let place = Arc::new(Place { name: String::new() });
        let mut engine = Self { pool, lend, place };
        let sql = "SELECT current_setting('server_version_num')::bigint, \
                   current_setting('server_encoding'), current_database()::text, \
                   current_schema()::text";
        let rows = engine.acquire_first().await?.look_up(sql.to_owned()).await?;
        let row = rows.first().ok_or_else(|| Error::internal("a server has a version"))?;
        let version: i64 = row.try_get(0).map_err(errors::of)?;
        let text = |i| row.try_get::<Option<String>, usize>(i).map_err(errors::of);
        let (encoding, database, schema) = (text(1)?, text(2)?, text(3)?);
        if version < MIN_VERSION {
            let (has, needs) = (version / 10_000, MIN_VERSION / 10_000);
            return Err(errors::database(format!(
                "the server has version {has}, and metaxy needs {needs} or later"
            )));
        }
        if let Some(encoding) = encoding.filter(|encoding| encoding != "UTF8") {
            return Err(errors::database(format!(
                "the database keeps texts in {encoding}, and metaxy needs one that was created with \
                 `ENCODING 'UTF8'`"
            )));
        }
        let Some(schema) = schema else {
            let schema = options.schema.as_deref().unwrap_or("public");
            return Err(errors::database(format!(
                "there is no schema `{schema}`; make it with `CREATE SCHEMA`, or name another one \
                 with `?schema=`"
            )));
        };
        let name = format!("{}.{schema}", database.unwrap_or_default());
        engine.place = Arc::new(Place { name });
        if options.install_xxhash {
            engine.acquire().await?.install(xxhash::FUNCTIONS).await?;
        }
        Ok(engine)
    }

    /// A connection. What could not be reached while a store is opened is tried again.
    async fn acquire_first(&self) -> Result<PostgresConnection> {
        let mut tries = Tries::to_read();
        loop {
            match self.acquire().await {
                Err(error) => tries.after(error).await?,
                acquired => return acquired,
            }
        }
    }

    async fn acquire(&self) -> Result<PostgresConnection> {
        let connection = match self.pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) => return Err(self.why_none_came().await),
            acquired => acquired.map_err(errors::of)?,
        };
        let mut connection = PostgresConnection::new(connection, Arc::clone(&self.place));
        if let Some(lend) = &self.lend {
            connection.lend(lend.clone()).await?;
        }
        Ok(connection)
    }

    /// Why a pool had no connection for so long: it says the same of a server that is gone and of one whose
    /// connections are all in use.
    async fn why_none_came(&self) -> Error {
        let options = self.pool.connect_options();
        let asked = tokio::time::timeout(LONGEST_ANSWER, PgConnection::connect_with(&options));
        match asked.await {
            Ok(Ok(connection)) => {
                // Nobody is told that it was only a question.
                let _ = connection.close().await;
                errors::all_in_use(self.pool.options().get_max_connections())
            }
            Ok(Err(error)) => errors::of(error),
            Err(_) => errors::of(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }
}

/// How long a server is waited for that is only asked whether it is there.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

const WORK_MEM: &str = "work_mem";
/// What is sorted or hashed needs so much memory to stay in it, at a hundred thousand records.
const ENOUGH_MEMORY: &str = "64MB";

/// How often the server looks whether somebody still waits for the end of a statement: whoever gives it up
/// closes the connection.
const CHECK_INTERVAL: &str = "client_connection_check_interval";
const CHECK_EVERY: &str = "1s";

/// The statements that set something.
fn set(settings: &[(&str, String)]) -> String {
    let set = settings.iter().map(|(name, value)| format!("SET {name} = {value}"));
    // A server that gives more goes on to.
    let work_mem = format!(
        "SELECT set_config('{WORK_MEM}', '{ENOUGH_MEMORY}', false) \
         WHERE pg_size_bytes(current_setting('{WORK_MEM}')) < pg_size_bytes('{ENOUGH_MEMORY}')"
    );
    // Not every system can look.
    let check = format!(
        "DO $$ BEGIN PERFORM set_config('{CHECK_INTERVAL}', '{CHECK_EVERY}', false); \
         EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$"
    );
    set.chain([work_mem, check]).collect::<Vec<_>>().join("; ")
}

/// What the driver makes of an address, once what is ours was taken out of it.
fn connect_options(
    address: &str,
    options: &mut Options,
    can_encrypt: bool,
) -> Result<PgConnectOptions> {
    let error = |problem: String| Error::Url {
        url: crate::store::open::without_secrets(address),
        problem: format!(
            "{problem}; it should look like `postgres://user:password@host:5432/database`"
        ),
    };
    let mut url = Url::parse(address).map_err(|problem| error(problem.to_string()))?;
    let mut theirs = Vec::new();
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "schema" => options.schema = Some(value.into_owned()),
            "statement_timeout" => options.statement_timeout = Some(value.into_owned()),
            _ => theirs.push((name.into_owned(), value.into_owned())),
        }
    }
    url.set_query(None);
    if !theirs.is_empty() {
        url.query_pairs_mut().extend_pairs(theirs);
    }
    let connect: PgConnectOptions =
        url.as_str().parse().map_err(|problem: sqlx::Error| error(problem.to_string()))?;
    let must_encrypt = !matches!(
        connect.get_ssl_mode(),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
    );
    if must_encrypt && !can_encrypt {
        return Err(error("this program was built without the cargo feature `tls`".to_owned()));
    }
    Ok(connect)
}

impl Engine for Postgres {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(Sql)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn sql::Connection>>> {
        async { Ok(Box::new(self.acquire().await?) as Box<dyn sql::Connection>) }.boxed()
    }

    fn read_table(&self, name: String) -> BoxFuture<'_, Result<BatchStream>> {
        async move { self.samples(&name).await }.boxed()
    }
}

impl Postgres {
    /// The rows of a table, which may be named with its schema.
    async fn samples(&self, name: &str) -> Result<BatchStream> {
        // A dot can be part of a name: what is called like that goes first.
        let mut candidates = vec![(None, name)];
        candidates.extend(name.split_once('.').map(|(schema, table)| (Some(schema), table)));
        for (schema, table) in candidates {
            let parts = schema.into_iter().chain([table]);
            let idents = parts.map(|part| Ok(Sql.quote_ident(&Ident::new(part)?)?));
            let ident = idents.collect::<Result<Vec<_>>>()?.join(".");
            let mut connection = self.acquire().await?;
            let sql = format!(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass({}) \
                 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                Sql.quote_text(&ident)?
            );
            let rows = connection.look_up(sql).await?;
            if rows.is_empty() {
                continue;
            }
            let names = rows.iter().map(|row| row.try_get(0).map_err(errors::of));
            let names = names.collect::<Result<Vec<String>>>()?;
            return Ok(connection.stream_text(format!("SELECT * FROM {ident}"), names));
        }
        Err(Error::NoSamples { table: name.to_owned() })
    }
}
