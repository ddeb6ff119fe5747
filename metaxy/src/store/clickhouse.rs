//! [`ClickHouse`]: a database of a ClickHouse server, over HTTP with the official client.
//!
//! # What ClickHouse does not promise, and what is done instead
//!
//! There are no transactions. What one call does is several statements, and a program or a server can
//! stop between any two of them. So:
//!
//! - **One statement appends one block.** The rows of an `INSERT .. SELECT` become one part of the
//!   table, which appears as a whole or not at all: settings that come with each query see to it
//!   ([`CLICKHOUSE_SETTINGS`]), and tables have no partitions. No batch is ever seen in part. The
//!   price is that a batch is held in the memory of the server while it is appended.
//! - **The order of statements makes it harmless to stop.** A definition is recorded before the rows
//!   that carry it; children are appended before the seal without which they do not exist; a failure
//!   is forgotten last. Whoever repeats the call finishes it; with a token it finds out itself that
//!   its rows are there.
//! - **Nothing is taken back, so nothing is tried.** A call that only asks what it would do, a dry
//!   run, works on copies: first of all each table that it would change gets a temporary one of the same
//!   name, which hides it from all statements of the call. It costs a copy, and leaves no trace.
//! - **Statements see one snapshot each**, of all their tables, and calls none. A resolve is one
//!   statement. A write that comes between two statements of another call is either seen by the later
//!   one or not, as if it had come a moment later.
//! - **Writers of one process take turns** for each table, and a time is later than any in it when the
//!   turn begins. Writers of several processes can take equal times; their write tokens order them.
//! - **Removing is slow.** Rows are found first, by their addresses, and then the parts that hold them
//!   are written anew (a mutation), of which the call awaits the end. Until a mutation is done the rows
//!   of a part are all there or all gone, part by part; it goes on by itself when the server starts
//!   again.
//!
//! - **Lists and maps are never NULL**: one that is NULL is refused. A column of them that is added to a
//!   table is empty in its older rows.
//! - **What may be NULL stays so**: a column that was allowed to hold NULL cannot be forbidden to again. The
//!   way back of a migration that allows it ends with an error of ClickHouse.
//!
//! # Clusters
//!
//! For those who outgrow one machine, with `?cluster=NAME` and one or both of these:
//!
//! - `replicated=true`, or `replica_path=/clickhouse/tables/{shard}` with `replica_name={replica}`: tables are
//!   `ReplicatedMergeTree`, made `ON CLUSTER`. An INSERT waits for most replicas (`insert_quorum`), one
//!   after the other, and reads see all that was written (`select_sequential_consistency`). Rows are removed
//!   by their addresses, named in the statement, on all replicas (`mutations_sync=2`).
//! - `sharded=true`: the rows of a table are in `metaxy_system__local__{table}` on each shard, by the hash of
//!   their ids (of children, of the parent's ids), and a `Distributed` table leads to them. Each shard
//!   finds the latest rows of its records; everything else, joins and groups, is done by the machine that
//!   was asked, so that groups need nothing to be together. All shards have to answer. Shards cannot be
//!   added without moving rows.
//!
//! What does not hold on shards: one INSERT is one block *per shard*, so that a reader may see some records
//! of a write before others, and a write that fails may leave some of its records (children without their
//! seal do not exist; the others are whole, and the rest is still to be computed). Tokens of writes are
//! refused there. A statement does not see one snapshot of all shards.
//!
//! It was never run on a real cluster. What makes tables, and for each kind of statement that a cluster
//! spells in another way one that stands for it (resolves, an append, a removal), has a snapshot. By hand,
//! the tests of what has to be computed again (`metaxy/src/conformance/lineage`) passed on two shards of two
//! servers, without replicas and with `ON CLUSTER` done by a proxy. Of `Replicated` nothing was seen but that the engine takes the tables. A
//! database of the engine `Replicated` is not supported.
//!
//! # How
//!
//! Temporary tables live in a session of the server, which ends with the connection, or an hour after
//! its last statement, and then a commit says that its rows are forgotten. Behind a load balancer all requests of a session have to reach the same server.
//! A query without temporary tables needs no session. Rows travel as Arrow (`FORMAT ArrowStream`), see
//! [`rows`].

mod connection;
mod errors;
mod options;
mod rows;
mod samples;

use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::{self, Engine};
use clickhouse::Client;
use connection::ClickHouseConnection;
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::dialect::ClickHouse as Sql;
use metaxy_sql::{Dialect, Ident};
pub(crate) use options::Options;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;
use url::Url;

/// The first version that is known to have all settings that statements rely on.
const MIN_VERSION: (u32, u32) = (26, 7);

/// A database of a ClickHouse server.
#[derive(Clone)]
pub(crate) struct ClickHouse {
    client: Client,
    /// The server and the database: what writers take turns for.
    place: String,
    database: Ident,
    dialect: Arc<Sql>,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouse").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Whether an address is one of ClickHouse.
pub(crate) fn is_address(address: &str) -> bool {
    address.starts_with("clickhouse:") || address.starts_with("clickhouse+https:")
}

impl ClickHouse {
    /// The database that an address names: `clickhouse://user:password@host:port/database`. With
    /// `?secure=true`, or as `clickhouse+https://`, the connection is encrypted; any other parameter
    /// is one of [`Options`], or a setting that comes with each query.
    pub(crate) async fn open(url: &str, mut options: Options) -> Result<Self> {
        let client = client_of(url, &mut options, cfg!(feature = "tls"))?;
        Self::from_client(client, &options).await
    }

    /// The database of a client.
    pub(crate) async fn from_client(client: Client, options: &Options) -> Result<Self> {
        options.check()?;
        let mut client = client.with_product_info("metaxy", env!("CARGO_PKG_VERSION"));
        let sql = "SELECT toString(serverUUID()), currentDatabase(), version()";
        let mut cursor = client.query_raw(sql).fetch_bytes("TSV").map_err(errors::of)?;
        let answer = cursor.collect().await.map_err(errors::of)?;
        let answer = String::from_utf8_lossy(&answer);
        let mut parts = answer.trim_end().split('\t');
        let mut next = || parts.next().unwrap_or_default();
        let (server, database, version) = (next(), next(), next());
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        if (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) < MIN_VERSION {
            let message = format!(
                "the server has version {version}, and metaxy needs {}.{} or later",
                MIN_VERSION.0, MIN_VERSION.1
            );
            return Err(errors::database(message));
        }
        let dialect = options.dialect(database);
        for (name, value) in dialect.settings().into_iter().chain(rows::SETTINGS.iter().copied()) {
            client = client.with_setting(name, value);
        }
        let place = match &dialect.cluster {
            None => format!("{server}/{database}"),
            Some(cluster) => format!("{}/{database}", cluster.name),
        };
        let database = Ident::new(database)?;
        Ok(Self { place, database, client, dialect: Arc::new(dialect) })
    }

    /// The turns of a writer to some tables: nobody else in this process has one of them.
    async fn turns(&self, tables: &[String]) -> Vec<OwnedMutexGuard<()>> {
        type Locks = HashMap<(String, String), Arc<tokio::sync::Mutex<()>>>;
        static LOCKS: LazyLock<Mutex<Locks>> = LazyLock::new(Mutex::default);
        let mut tables = tables.to_vec();
        // In one order everywhere: nobody waits for one who waits for them.
        tables.sort_unstable();
        tables.dedup();
        let locks: Vec<_> = {
            let mut all = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
            let lock = |table| Arc::clone(all.entry((self.place.clone(), table)).or_default());
            tables.into_iter().map(lock).collect()
        };
        let mut turns = Vec::new();
        for lock in locks {
            turns.push(lock.lock_owned().await);
        }
        turns
    }
}

impl Engine for ClickHouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::clone(&self.dialect) as Arc<dyn Dialect>
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn sql::Connection>>> {
        async { Ok(Box::new(ClickHouseConnection::new(self.clone())) as Box<dyn sql::Connection>) }
            .boxed()
    }

    fn read_table(&self, name: String) -> BoxFuture<'_, Result<BatchStream>> {
        async move { samples::rows(self, &name).await }.boxed()
    }
}

/// The client that an address asks for.
fn client_of(address: &str, options: &mut Options, can_encrypt: bool) -> Result<Client> {
    let error = |problem: &str| Error::Url {
        url: crate::store::open::without_secrets(address),
        problem: format!(
            "{problem}; it should look like `clickhouse://user:password@host:8123/database`"
        ),
    };
    let url = Url::parse(address).map_err(|problem| error(&problem.to_string()))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| error("no host"))?;
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_| error("it is not UTF-8"))?;
        Ok::<_, Error>(text.into_owned())
    };
    let mut secure = url.scheme() == "clickhouse+https";
    let mut settings = Vec::new();
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "secure" => secure = matches!(value.as_ref(), "true" | "1"),
            name if options.take(name, &value) => {}
            name => settings.push((name.to_owned(), value.into_owned())),
        }
    }
    if secure && !can_encrypt {
        return Err(error("this program was built without the cargo feature `tls`"));
    }
    let (scheme, port) = if secure { ("https", 8443) } else { ("http", 8123) };
    let port = url.port().unwrap_or(port);
    let mut client = Client::default().with_url(format!("{scheme}://{host}:{port}"));
    if !url.username().is_empty() {
        client = client.with_user(decode(url.username())?);
    }
    if let Some(password) = url.password() {
        client = client.with_password(decode(password)?);
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    if !database.is_empty() {
        client = client.with_database(database);
    }
    for (name, value) in settings {
        client = client.with_setting(name, value);
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let of = |url: &str| client_of(url, &mut Options::default(), true).expect("a client");
        let client = of("clickhouse://ann:p%40ss@db.example:9123/my%20data?max_threads=2");
        assert_eq!(client.database(), Some("my data"));
        assert_eq!(client.get_setting("max_threads"), Some("2"));
        assert_eq!(of("clickhouse://db.example").database(), None);
        assert!(
            client_of("clickhouse://db.example/a%2fb%ff", &mut Options::default(), true).is_err(),
            "it is not UTF-8"
        );
        assert_eq!(of("clickhouse://db.example/100%").database(), Some("100%"));
    }

    #[test]
    fn mistakes_in_addresses_are_told_without_secrets() {
        for address in ["clickhouse:", "clickhouse://ann:secret@:x/"] {
            let error = client_of(address, &mut Options::default(), true)
                .map(drop)
                .expect_err("no client")
                .to_string();
            assert!(error.contains("clickhouse://user:password@host"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn without_encryption_an_address_that_asks_for_it_is_refused() {
        for address in ["clickhouse+https://db.example/x", "clickhouse://db.example/x?secure=true"]
        {
            let of = |can_encrypt| client_of(address, &mut Options::default(), can_encrypt);
            let error = of(false).map(drop).expect_err("it cannot be").to_string();
            assert!(error.contains("without the cargo feature `tls`"), "{error}");
            of(true).map(drop).expect(address);
        }
    }
}
