//! [`OpenStore`]: what is asked for when a store is opened, and [`Settings`]: what it keeps.

use crate::awaited::awaited;
use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::store::fallback::check_settings;
#[cfg(feature = "sql")]
use crate::store::sql::{Engine, SqlStore};
use crate::store::{Backend, Store};
use crate::version::{DEFAULT_HASH_TRUNCATION_LENGTH, MIN_HASH_TRUNCATION_LENGTH};
use metaxy_sql::HashAlgorithm;
use metaxy_sql::plan::Hash;
use std::fmt;
use std::sync::Arc;

/// How a store hashes. It is decided when the store is created and the same ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The algorithm of provenances and data versions.
    pub hash_algorithm: HashAlgorithm,
    /// How many characters of every hash are kept, the versions of features included.
    pub hash_truncation_length: usize,
}

/// Refuses hashes of so few characters that they would be alike by chance.
pub(crate) fn check_length(hash_truncation_length: usize) -> Result<()> {
    if hash_truncation_length >= MIN_HASH_TRUNCATION_LENGTH {
        return Ok(());
    }
    Err(Error::Setting {
        setting: "hash_truncation_length",
        value: hash_truncation_length.to_string(),
        problem: "it is at least 8",
    })
}

impl Settings {
    pub(crate) fn hash(self) -> Hash {
        Hash {
            algorithm: self.hash_algorithm,
            length: u32::try_from(self.hash_truncation_length).unwrap_or(u32::MAX),
        }
    }
}

/// Another implementation whose default settings a store can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compat {
    /// Python's `metaxy`: `xxhash32`, 8 characters.
    ///
    /// That is about 25 bits for each version: two different inputs look alike once in some thirty
    /// million pairs, and then an update is missed.
    Python,
}

/// The settings that a caller names; what is left out comes from the store, or from its defaults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestedSettings {
    pub(crate) hash_algorithm: Option<HashAlgorithm>,
    pub(crate) hash_truncation_length: Option<usize>,
}

impl RequestedSettings {
    /// The settings of a store that is new.
    pub(crate) fn or_default(self, algorithm: HashAlgorithm) -> Settings {
        Settings {
            hash_algorithm: self.hash_algorithm.unwrap_or(algorithm),
            hash_truncation_length: self
                .hash_truncation_length
                .unwrap_or(DEFAULT_HASH_TRUNCATION_LENGTH),
        }
    }

    /// Whether nothing is left to a default.
    #[cfg(feature = "sql")]
    pub(crate) fn is_complete(self) -> bool {
        self.hash_algorithm.is_some() && self.hash_truncation_length.is_some()
    }

    /// The settings of a store that has some.
    #[cfg(feature = "sql")]
    pub(crate) fn check(self, stored: Settings) -> Result<Settings> {
        if let Some(requested) = self.hash_algorithm
            && requested != stored.hash_algorithm
        {
            return Err(Error::OtherSettings {
                setting: "hash_algorithm",
                stored: stored.hash_algorithm.to_string(),
                requested: requested.to_string(),
            });
        }
        if let Some(requested) = self.hash_truncation_length
            && requested != stored.hash_truncation_length
        {
            return Err(Error::OtherSettings {
                setting: "hash_truncation_length",
                stored: stored.hash_truncation_length.to_string(),
                requested: requested.to_string(),
            });
        }
        Ok(stored)
    }
}

/// Where a store is.
#[derive(Clone)]
enum Place {
    /// An address.
    Url(String),
    /// Where the connections of a pool lead.
    #[cfg(feature = "postgres")]
    Pool(sqlx::postgres::PgPool),
    /// The database of a client.
    #[cfg(feature = "clickhouse")]
    Client(Box<::clickhouse::Client>),
}

impl Place {
    /// Whether there is no database.
    fn is_in_memory(&self) -> bool {
        matches!(self, Self::Url(url) if url == "memory:")
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&without_secrets(url)),
            #[cfg(feature = "postgres")]
            Self::Pool(_) => f.write_str("a pool of connections to Postgres"),
            #[cfg(feature = "clickhouse")]
            Self::Client(_) => f.write_str("a client of ClickHouse"),
        }
    }
}

/// A store that is being opened; `.await` it.
#[derive(Clone, Debug)]
#[must_use = "a store is opened by `.await`"]
pub struct OpenStore {
    place: Place,
    graph: Option<FeatureGraph>,
    access: Access,
    settings: RequestedSettings,
    fallbacks: Vec<Store>,
    #[cfg(feature = "postgres")]
    postgres: super::postgres::Options,
    #[cfg(feature = "clickhouse")]
    clickhouse: super::clickhouse::Options,
}

/// What may be done with a store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// Nothing may be written.
    pub(crate) read_only: bool,
    /// Tables and columns that are missing may be made.
    pub(crate) create_tables: bool,
    /// Up to which share of changed records a resolve looks at those alone.
    pub(crate) incremental: Option<f64>,
}

impl OpenStore {
    pub(crate) fn new(url: String) -> Self {
        Self::at(Place::Url(url))
    }

    #[cfg(feature = "clickhouse")]
    pub(crate) fn of_client(client: ::clickhouse::Client) -> Self {
        Self::at(Place::Client(Box::new(client)))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn of_pool(pool: sqlx::postgres::PgPool) -> Self {
        Self::at(Place::Pool(pool))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            graph: None,
            access: Access::default(),
            settings: RequestedSettings::default(),
            fallbacks: Vec::new(),
            #[cfg(feature = "postgres")]
            postgres: super::postgres::Options::default(),
            #[cfg(feature = "clickhouse")]
            clickhouse: super::clickhouse::Options::default(),
        }
    }

    /// In Postgres, the schema of the tables; `?schema=` of an address says the same. Without one it
    /// is the first of the connection's `search_path`. It has to be there.
    #[cfg(feature = "postgres")]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.postgres.schema = Some(schema.into());
        self
    }

    /// In Postgres, how long a statement may take before the server ends it; `?statement_timeout=` of
    /// an address, in milliseconds or with a unit as `30s`, says the same. What a call has done is then
    /// taken back.
    #[cfg(feature = "postgres")]
    pub fn statement_timeout(mut self, timeout: std::time::Duration) -> Self {
        // Zero would be no timeout at all.
        self.postgres.statement_timeout = Some(timeout.as_millis().max(1).to_string());
        self
    }

    /// In Postgres, whether functions for `xxhash32` and `xxhash64` are made in the schema, which has
    /// none of its own: for a store that has to hash like one in another database. They are slow: some
    /// 10 us for each value with `xxhash32`, and more with `xxhash64`, where `md5` takes less than 1 us.
    #[cfg(feature = "postgres")]
    pub fn install_xxhash(mut self, install: bool) -> Self {
        self.postgres.install_xxhash = install;
        self
    }

    /// In ClickHouse, the cluster whose machines have the tables; `?cluster=` of an address says the
    /// same. How they have them say [`replicated`](Self::replicated) and [`sharded`](Self::sharded).
    #[cfg(feature = "clickhouse")]
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.clickhouse.cluster = Some(name.into());
        self
    }

    /// In a cluster of ClickHouse, whether all replicas of a shard keep the same rows
    /// (`ReplicatedMergeTree`), where the settings of the servers say; `?replicated=true` of an address
    /// says the same.
    #[cfg(feature = "clickhouse")]
    pub fn replicated(mut self, replicated: bool) -> Self {
        self.clickhouse.replicated = replicated;
        self
    }

    /// The same at a path of the keeper, with a name for each replica: `/clickhouse/tables/{shard}` and
    /// `{replica}`, for instance. The path goes on with the names of database and table.
    /// `?replica_path=` and `?replica_name=` of an address say the same.
    #[cfg(feature = "clickhouse")]
    pub fn replica_path(mut self, path: impl Into<String>, replica: impl Into<String>) -> Self {
        self.clickhouse.replica_path = Some(path.into());
        self.clickhouse.replica_name = Some(replica.into());
        self
    }

    /// In a cluster of ClickHouse, whether the records of a feature are spread over its shards, by their
    /// ids; `?sharded=true` of an address says the same.
    ///
    /// Each shard appends its part of a write by itself: a reader may see some records of a write before
    /// others, and a write that fails may leave some. Each record is there or not; what is missing is
    /// still new or stale. Tokens of writes are refused, since they would say that all of it is there.
    #[cfg(feature = "clickhouse")]
    pub fn sharded(mut self, sharded: bool) -> Self {
        self.clickhouse.sharded = sharded;
        self
    }

    /// The graph; without one, that of all features linked into this program.
    pub fn graph(mut self, graph: FeatureGraph) -> Self {
        self.graph = Some(graph);
        self
    }

    /// Whether tables and columns that are missing are made when they are needed.
    ///
    /// Nothing else is ever changed in a database without being asked for.
    pub fn create_tables(mut self, create_tables: bool) -> Self {
        self.access.create_tables = create_tables;
        self
    }

    /// Whether the store is for reading alone: every write is an error, and so is a store that does
    /// not exist yet.
    ///
    /// As long as nobody has a DuckDB file open for writing, any number of processes can have it open
    /// for reading. Within one process stores over one file share it: one that only reads can be
    /// opened beside one that writes, but not the other way round.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.access.read_only = read_only;
        self
    }

    /// Up to which share of changed records a resolve looks at those alone, 0.1 for a tenth: what it costs
    /// follows then what has changed and not what there is. Without it every resolve looks at all records.
    ///
    /// The answers are the same. A resolve of all records of a feature that finds most of them unchanged
    /// keeps how far it has read, in tables of its own, and the ids of the records that are not; the next
    /// one reads what was appended since. Whenever something else has happened (a code version, a filter or
    /// a parent is another one, rows were removed, another program has written) all records are looked at
    /// again. What is not noticed is a program that changes rows in place, behind the store's back, and
    /// leaves their times as they are.
    ///
    /// With 0 nothing is kept; a share of more than 1 is never exceeded.
    ///
    /// It is of use on DuckDB, for features without groups and expansions whose upstreams have the same ids;
    /// elsewhere it changes nothing. What is kept is made with [`create_tables`](Self::create_tables) alone.
    pub fn incremental(mut self, share: f64) -> Self {
        self.access.incremental = Some(share).filter(|share| *share != 0.0);
        self
    }

    /// Another store that is read, and never written, for features that have no table here: production
    /// below a store for development. There may be several; the first that has a table is taken.
    ///
    /// A feature comes from one store as a whole: as soon as it has a table here, with one row or none,
    /// nothing of it is read there. Both stores have to hash alike.
    pub fn fallback(mut self, store: Store) -> Self {
        self.fallbacks.push(store);
        self
    }

    /// How provenances are hashed. A store that exists has to have been created with it; a new one hashes
    /// with xxhash64 unless told otherwise, in Postgres with md5.
    pub fn hash_algorithm(mut self, algorithm: HashAlgorithm) -> Self {
        self.settings.hash_algorithm = Some(algorithm);
        self
    }

    /// How many characters of every hash are kept, at least 8; 16 unless told otherwise, which are some 53
    /// bits of xxhash64 in decimal digits, and 64 bits of md5. A store that exists has to have been created
    /// with it.
    pub fn hash_truncation_length(mut self, length: usize) -> Self {
        self.settings.hash_truncation_length = Some(length);
        self
    }

    /// The settings of another implementation, for stores that are shared with it.
    pub fn compat(self, with: Compat) -> Self {
        match with {
            Compat::Python => {
                self.hash_algorithm(HashAlgorithm::XxHash32).hash_truncation_length(8)
            }
        }
    }

    /// The settings that the caller has named.
    #[cfg(feature = "sql")]
    pub(crate) fn requested(&self) -> RequestedSettings {
        self.settings
    }

    /// The database, whatever is in it.
    ///
    /// # Errors
    /// When there is none, or it cannot be reached.
    #[cfg(feature = "sql")]
    pub(crate) async fn engine(self) -> Result<Box<dyn Engine>> {
        if self.place.is_in_memory() {
            let problem = "a store in memory has no tables that could be migrated".to_owned();
            return Err(Error::Url { url: "memory:".to_owned(), problem });
        }
        self.check_unused()?;
        // Only DuckDB can be opened without being changed.
        let _ = self.access;
        match self.place {
            #[cfg(feature = "postgres")]
            Place::Pool(pool) => {
                Ok(Box::new(super::postgres::Postgres::from_pool(pool, &self.postgres).await?))
            }
            #[cfg(feature = "postgres")]
            Place::Url(url) if super::postgres::is_address(&url) => {
                Ok(Box::new(super::postgres::Postgres::open(&url, self.postgres).await?))
            }
            #[cfg(feature = "clickhouse")]
            Place::Client(client) => {
                let options = &self.clickhouse;
                Ok(Box::new(super::clickhouse::ClickHouse::from_client(*client, options).await?))
            }
            #[cfg(feature = "clickhouse")]
            Place::Url(url) if super::clickhouse::is_address(&url) => {
                Ok(Box::new(super::clickhouse::ClickHouse::open(&url, self.clickhouse).await?))
            }
            #[cfg(feature = "duckdb")]
            Place::Url(url) if url.starts_with("duckdb:") => {
                let path = url.trim_start_matches("duckdb:");
                let path = path.strip_prefix("//").unwrap_or(path);
                Ok(Box::new(super::duckdb::DuckDb::open(path, self.access.read_only).await?))
            }
            Place::Url(url) => Err(unknown(&url)),
        }
    }

    /// Refuses options of another engine than the one that is opened.
    fn check_unused(&self) -> Result<()> {
        #[cfg(feature = "postgres")]
        if !matches!(&self.place, Place::Pool(_))
            && !matches!(&self.place, Place::Url(url) if super::postgres::is_address(url))
        {
            self.postgres.check_unused()?;
        }
        #[cfg(feature = "clickhouse")]
        if !matches!(&self.place, Place::Client(_))
            && !matches!(&self.place, Place::Url(url) if super::clickhouse::is_address(url))
        {
            self.clickhouse.check_unused()?;
        }
        Ok(())
    }

    async fn run(mut self) -> Result<Store> {
        self.settings.hash_truncation_length.map_or(Ok(()), check_length)?;
        if let Some(share) = self.access.incremental
            && !(0.0..).contains(&share)
        {
            return Err(Error::Setting {
                setting: "incremental",
                value: share.to_string(),
                problem: "it is a share of the records: 0.1 for a tenth of them",
            });
        }
        if self.access.read_only && self.place.is_in_memory() {
            return Err(Error::Setting {
                setting: "read_only",
                value: "true".to_owned(),
                problem: "a store in `memory:` is always new, so that there is nothing to read",
            });
        }
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => FeatureGraph::linked()?,
        };
        let fallbacks = std::mem::take(&mut self.fallbacks);
        self.check_unused()?;
        let settings = self.settings;
        let backend: Arc<dyn Backend> = match self.place.is_in_memory() {
            // It is always new, and has no tables that somebody would have to make.
            true => {
                let settings = settings.or_default(HashAlgorithm::XxHash64);
                Arc::new(super::memory::Memory::with_settings(settings))
            }
            #[cfg(feature = "sql")]
            false => {
                let access = self.access;
                Arc::new(SqlStore::open(self.engine().await?, access, settings).await?)
            }
            // Without a database nothing can be opened in another way.
            #[cfg(not(feature = "sql"))]
            false => {
                let (Place::Url(url), _) = (self.place, self.access);
                return Err(unknown(&url));
            }
        };
        for fallback in &fallbacks {
            check_settings(backend.settings(), fallback.settings())?;
        }
        Ok(Store { backend, graph, fallbacks: fallbacks.into() })
    }
}

impl From<&str> for OpenStore {
    fn from(url: &str) -> Self {
        Self::new(url.to_owned())
    }
}

impl From<String> for OpenStore {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

awaited!(OpenStore => Store);

/// An address that leads to no store of this program.
fn unknown(url: &str) -> Error {
    let problem = match url.split_once(':') {
        Some(("memory", _)) => "a store in memory has no name: `memory:`",
        #[cfg(not(feature = "duckdb"))]
        Some(("duckdb", _)) => "this program was built without the cargo feature `duckdb`",
        #[cfg(not(feature = "postgres"))]
        Some(("postgres" | "postgresql", _)) => {
            "this program was built without the cargo feature `postgres`"
        }
        #[cfg(not(feature = "clickhouse"))]
        Some(("clickhouse" | "clickhouse+https", _)) => {
            "this program was built without the cargo feature `clickhouse`"
        }
        _ => {
            "it should look like `duckdb:path/to/file.duckdb`, `duckdb::memory:`, \
             `postgres://user:password@host:5432/database`, \
             `clickhouse://user:password@host:8123/database` or `memory:`"
        }
    };
    Error::Url { url: without_secrets(url), problem: problem.to_owned() }
}

/// An address without secrets: without user and password, and without the values of parameters that are
/// called like one.
pub(crate) fn without_secrets(url: &str) -> String {
    let Some(scheme) = url.find("://") else { return url.to_owned() };
    let (scheme, rest) = url.split_at(scheme + "://".len());
    // A password may hold anything, an `@` or a `?` too: what might be one is hidden.
    let (user, rest) = match rest.rfind('@') {
        Some(at) => ("***", &rest[at..]),
        None => ("", rest),
    };
    let (place, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let masked = query.trim_start_matches('?').split('&').map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        let is_secret = ["pass", "pwd", "secret", "token", "key", "user", "credential", "auth"];
        match is_secret.iter().any(|word| name.to_ascii_lowercase().contains(word)) {
            true => format!("{name}=***"),
            false => parameter.to_owned(),
        }
    });
    let query = match query.is_empty() {
        true => String::new(),
        false => format!("?{}", masked.collect::<Vec<_>>().join("&")),
    };
    format!("{scheme}{user}{place}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (url, masked) in [
            ("x://user:pw@host/db", "x://***@host/db"),
            ("x://user:p@w@host/db", "x://***@host/db"),
            (
                "x://host/db?user=u&password=pw&secure=true",
                "x://host/db?user=***&password=***&secure=true",
            ),
            ("x://u:p@host/db?sslkey=a", "x://***@host/db?sslkey=***"),
            ("x://u:p?w@host/db", "x://***@host/db"),
            ("x://host/db?schema=a", "x://host/db?schema=a"),
            ("duckdb:a@b", "duckdb:a@b"),
        ] {
            assert_eq!(without_secrets(url), masked);
        }
    }
}
