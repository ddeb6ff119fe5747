//! The suite that every engine is held to, on all of ours.

mod in_memory {
    metaxy::conformance::tests!(metaxy_tests::engines::InMemory);
}

#[cfg(feature = "duckdb")]
mod on_duckdb {
    metaxy::conformance::tests!(metaxy_tests::engines::DuckDb::default());
}

#[cfg(feature = "servers")]
mod on_postgres {
    metaxy::conformance::tests!(metaxy_tests::engines::Postgres::default());
}

#[cfg(feature = "servers")]
mod on_clickhouse {
    metaxy::conformance::tests!(metaxy_tests::engines::ClickHouse::default());
}
