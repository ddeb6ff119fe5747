//! The engines as the conformance suite opens them, and one test on every engine.

use metaxy::conformance::{Engine, Foreign};
use metaxy::store::memory::Memory;
use metaxy::store::{OpenStore, Settings};
use metaxy::{FeatureGraph, FeatureKey, Result, Store};
use std::sync::Arc;

use futures::future::BoxFuture;

#[cfg(feature = "duckdb")]
pub use self::embedded::DuckDb;
#[cfg(feature = "servers")]
pub use self::servers::{ClickHouse, Postgres};

/// The engine that says what is right. Nobody else can reach what it holds.
#[derive(Clone, Copy, Debug)]
pub struct InMemory;

impl Engine for InMemory {
    fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>> {
        let Settings { hash_algorithm, hash_truncation_length, .. } = settings;
        let memory = Memory::new(hash_algorithm, hash_truncation_length);
        Box::pin(async { Ok(Store::with_backend(Arc::new(memory), graph)) })
    }
}

/// Asks for a store at an address that hashes like this and makes tables.
#[cfg(any(feature = "duckdb", feature = "servers"))]
fn asked(url: String, graph: FeatureGraph, settings: Settings) -> OpenStore {
    let store = Store::open(url).graph(graph).create_tables(true);
    store
        .hash_algorithm(settings.hash_algorithm)
        .hash_truncation_length(settings.hash_truncation_length)
}

/// The table of a feature, and its first id column.
#[cfg(any(feature = "duckdb", feature = "servers"))]
fn names(graph: &FeatureGraph, feature: &FeatureKey) -> (String, String) {
    let id = graph.get(feature).expect("a feature").spec.id_columns[0].clone();
    (feature.table_name(), id)
}

#[cfg(feature = "duckdb")]
mod embedded {
    use super::*;
    use crate::place::Place;
    use std::sync::Mutex;

    /// Databases in memory; in a file, once another program has had its turn.
    #[derive(Debug, Default)]
    pub struct DuckDb {
        places: Mutex<Vec<Place>>,
        is_incremental: bool,
    }

    impl DuckDb {
        /// Stores that resolve what has changed and nothing else wherever they can, be it all there is.
        #[must_use]
        pub fn incremental() -> Self {
            Self { is_incremental: true, ..Self::default() }
        }

        fn asked(&self, url: String, graph: FeatureGraph, settings: Settings) -> OpenStore {
            let store = asked(url, graph, settings);
            if self.is_incremental { store.incremental(f64::INFINITY) } else { store }
        }
    }

    impl Engine for DuckDb {
        fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>> {
            self.asked("duckdb::memory:".to_owned(), graph, settings).into_future()
        }

        fn foreign<'a>(
            &'a self,
            store: Store,
            feature: &'a FeatureKey,
            change: Foreign,
        ) -> Option<BoxFuture<'a, Store>> {
            let (graph, settings) = (store.graph().clone(), store.settings());
            let (table, id) = names(&graph, feature);
            let sql = match change {
                Foreign::NullIds => format!(
                    "ALTER TABLE \"{table}\" ALTER \"{id}\" DROP NOT NULL;
                     INSERT INTO \"{table}\" SELECT * REPLACE (NULL AS \"{id}\") FROM \"{table}\"
                     UNION ALL SELECT * REPLACE (NULL AS \"{id}\") FROM \"{table}\""
                ),
                Foreign::WrittenAt(micros) => format!(
                    "INSERT INTO \"{table}\" SELECT * REPLACE (
                         make_timestamp({micros})::TIMESTAMPTZ AS metaxy_created_at,
                         make_timestamp({micros})::TIMESTAMPTZ AS metaxy_updated_at
                     ) FROM \"{table}\""
                ),
                other => panic!("{other:?} is not known here"),
            };
            Some(Box::pin(async move {
                let place = Place::new();
                let open = || self.asked(place.url(), graph.clone(), settings);
                let in_file = open().await.expect("a store");
                store.copy_to(&in_file).await.expect("a copy");
                drop(in_file);
                place.execute(&sql);
                let store = open().await.expect("a store");
                self.places.lock().expect("no panic").push(place);
                store
            }))
        }
    }
}

#[cfg(feature = "servers")]
mod servers {
    use super::*;
    use crate::databases::Database;
    use metaxy::HashAlgorithm;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Databases on the server of Postgres that tests share, gone with this.
    #[derive(Debug, Default)]
    pub struct Postgres {
        databases: Databases,
    }

    /// Databases on the server of ClickHouse that tests share, gone with this.
    #[derive(Debug, Default)]
    pub struct ClickHouse {
        databases: Databases,
    }

    #[derive(Debug, Default)]
    struct Databases(Mutex<Vec<Database>>);

    impl Databases {
        fn lock(&self) -> MutexGuard<'_, Vec<Database>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Keeps a database; its address.
        fn keep(&self, database: Database) -> String {
            let url = database.url();
            self.lock().push(database);
            url
        }

        /// Runs statements in the database that was made last.
        async fn execute(&self, statements: &[String]) {
            let database = self.lock().pop().expect("a store was opened");
            for statement in statements {
                database.execute(statement).await;
            }
            self.keep(database);
        }
    }

    impl Engine for Postgres {
        fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>> {
            Box::pin(async move {
                let url = self.databases.keep(Database::postgres().await);
                let algorithm = settings.hash_algorithm;
                let xxhash = [HashAlgorithm::XxHash32, HashAlgorithm::XxHash64];
                asked(url, graph, settings).install_xxhash(xxhash.contains(&algorithm)).await
            })
        }

        fn hashes(&self, algorithm: HashAlgorithm) -> bool {
            algorithm != HashAlgorithm::Xxh3_64
        }

        fn longest_name(&self) -> Option<usize> {
            Some(63)
        }

        fn foreign<'a>(
            &'a self,
            store: Store,
            feature: &'a FeatureKey,
            change: Foreign,
        ) -> Option<BoxFuture<'a, Store>> {
            let (table, id) = names(store.graph(), feature);
            let (before, set, times) = match change {
                Foreign::NullIds => (
                    format!("ALTER TABLE \"{table}\" ALTER \"{id}\" DROP NOT NULL"),
                    format!("\"{id}\" = NULL"),
                    2,
                ),
                Foreign::WrittenAt(micros) => {
                    let time = format!(
                        "timestamptz '1970-01-01 00:00:00+00' + {micros} * interval '1 microsecond'"
                    );
                    let set = format!("metaxy_created_at = {time}, metaxy_updated_at = {time}");
                    ("SELECT 1".to_owned(), set, 1)
                }
                other => panic!("{other:?} is not known here"),
            };
            let insert = format!("INSERT INTO \"{table}\" SELECT * FROM theirs;").repeat(times);
            let sql = format!(
                "{before}; CREATE TEMPORARY TABLE theirs AS TABLE \"{table}\";
                 UPDATE theirs SET {set}; {insert}"
            );
            Some(Box::pin(async move {
                self.databases.execute(&[sql]).await;
                store
            }))
        }
    }

    impl Engine for ClickHouse {
        fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>> {
            Box::pin(async move {
                let url = self.databases.keep(Database::clickhouse().await);
                asked(url, graph, settings).await
            })
        }

        fn foreign<'a>(
            &'a self,
            store: Store,
            feature: &'a FeatureKey,
            change: Foreign,
        ) -> Option<BoxFuture<'a, Store>> {
            let (table, id) = names(store.graph(), feature);
            Some(Box::pin(async move {
                let insert = |replace: &str| {
                    format!("INSERT INTO `{table}` SELECT * REPLACE ({replace}) FROM theirs")
                };
                let theirs =
                    format!("CREATE TABLE theirs ENGINE = Memory AS SELECT * FROM `{table}`");
                let statements = match change {
                    Foreign::NullIds => {
                        // A column of the sorting key stays as it is: the table is made once more.
                        let database = self.databases.lock().pop().expect("a store was opened");
                        let made = database.texts(&format!("SHOW CREATE TABLE `{table}`")).await;
                        self.databases.keep(database);
                        let id_column = format!("`{id}` String");
                        assert!(made[0].contains(&id_column), "{}", made[0]);
                        let made =
                            made[0].replacen(&id_column, &format!("`{id}` Nullable(String)"), 1);
                        let insert = insert(&format!("NULL AS `{id}`"));
                        vec![
                            theirs,
                            format!("DROP TABLE `{table}` SYNC"),
                            format!("{made}, allow_nullable_key = 1"),
                            format!("INSERT INTO `{table}` SELECT * FROM theirs"),
                            insert.clone(),
                            insert,
                        ]
                    }
                    Foreign::WrittenAt(micros) => {
                        let time = format!("fromUnixTimestamp64Micro({micros}, 'UTC')");
                        let replace =
                            format!("{time} AS metaxy_created_at, {time} AS metaxy_updated_at");
                        vec![theirs, insert(&replace)]
                    }
                    other => panic!("{other:?} is not known here"),
                };
                self.databases.execute(&statements).await;
                store
            }))
        }
    }
}

/// The same tests, functions that take the address of a store, on the engine that says what is right
/// and on every engine that has to follow it. Each store that [`opening`](crate::flow::opening) opens
/// there is a new one.
#[macro_export]
macro_rules! on_every_engine {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $test() { super::$test("memory:").await; })*
        }
        #[cfg(feature = "duckdb")]
        mod on_duckdb {
            $(#[tokio::test] async fn $test() { super::$test("duckdb::memory:").await; })*
        }
        #[cfg(feature = "servers")]
        mod on_postgres {
            $(#[tokio::test] async fn $test() {
                let database = $crate::databases::Database::postgres().await;
                super::$test(&database.url()).await;
            })*
        }
        #[cfg(feature = "servers")]
        mod on_clickhouse {
            $(#[tokio::test] async fn $test() {
                let database = $crate::databases::Database::clickhouse().await;
                super::$test(&database.url()).await;
            })*
        }
    };
}
