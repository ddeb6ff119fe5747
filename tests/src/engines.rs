//! One test on every engine.

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
