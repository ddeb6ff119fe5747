//! The example pipeline says the same on every database: what the demo prints, by address alone.

use metaxy_examples::{demo, repository};
use metaxy_tests::databases::Database;

/// What the demo prints about the sample with a store at this address, or with its own.
async fn printed(store: Option<&str>) -> String {
    let mut out = Vec::new();
    let sample = repository().join("examples").join("sample");
    demo::run(&sample, store, &mut out).await.expect("a demo");
    String::from_utf8(out).expect("a text")
}

#[tokio::test]
async fn the_same_demo_in_postgres() {
    let database = Database::postgres().await;
    assert_eq!(printed(Some(&database.url())).await, printed(None).await);
}

#[tokio::test]
async fn the_same_demo_in_clickhouse() {
    let database = Database::clickhouse().await;
    assert_eq!(printed(Some(&database.url())).await, printed(None).await);
}
