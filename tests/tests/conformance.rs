//! The suite that every engine is held to, on all of ours.

mod in_memory {
    metaxy::conformance::tests!(metaxy_tests::engines::InMemory);
}

#[cfg(feature = "duckdb")]
mod on_duckdb {
    metaxy::conformance::tests!(metaxy_tests::engines::DuckDb::default());
}

#[cfg(feature = "duckdb")]
mod on_duckdb_incrementally {
    metaxy::conformance::tests!(metaxy_tests::engines::DuckDb::incremental());
}

#[cfg(feature = "servers")]
mod on_postgres {
    metaxy::conformance::tests!(metaxy_tests::engines::Postgres::default());
}

#[cfg(feature = "servers")]
mod on_clickhouse {
    metaxy::conformance::tests!(metaxy_tests::engines::ClickHouse::default());
}

/// Stores of two engines, in every order.
#[cfg(all(feature = "duckdb", feature = "servers"))]
mod pairs {
    use metaxy::conformance::agree;
    use metaxy_tests::engines::{ClickHouse, DuckDb, InMemory, Postgres};

    macro_rules! from_one_to_another {
        ($($name:ident: $from:expr, $to:expr;)*) => {
            $(#[tokio::test]
            async fn $name() {
                agree(&$from, &$to).await;
            })*
        };
    }

    from_one_to_another! {
        memory_to_memory: InMemory, InMemory;
        memory_to_duckdb: InMemory, DuckDb::default();
        memory_to_postgres: InMemory, Postgres::default();
        memory_to_clickhouse: InMemory, ClickHouse::default();
        duckdb_to_memory: DuckDb::default(), InMemory;
        duckdb_to_duckdb: DuckDb::default(), DuckDb::default();
        duckdb_to_postgres: DuckDb::default(), Postgres::default();
        duckdb_to_clickhouse: DuckDb::default(), ClickHouse::default();
        postgres_to_memory: Postgres::default(), InMemory;
        postgres_to_duckdb: Postgres::default(), DuckDb::default();
        postgres_to_postgres: Postgres::default(), Postgres::default();
        postgres_to_clickhouse: Postgres::default(), ClickHouse::default();
        clickhouse_to_memory: ClickHouse::default(), InMemory;
        clickhouse_to_duckdb: ClickHouse::default(), DuckDb::default();
        clickhouse_to_postgres: ClickHouse::default(), Postgres::default();
        clickhouse_to_clickhouse: ClickHouse::default(), ClickHouse::default();
    }
}
