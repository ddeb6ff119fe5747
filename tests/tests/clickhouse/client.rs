//! A store over the client that a program has already, with settings of its own.

use super::client;
use super::wire::{Crop, compute, graph, videos};
use clickhouse::Client;
use metaxy::Store;
use metaxy_tests::databases::Database;

async fn ask(client: &Client, sql: &str) -> String {
    let mut cursor = client.query_raw(sql).fetch_bytes("TSVRaw").expect(sql);
    let answer = cursor.collect().await.expect(sql);
    String::from_utf8(answer.to_vec()).expect("a text").trim_end().to_owned()
}

/// What statements rely on, they set themselves; what the program has set otherwise stays as it is.
#[tokio::test]
async fn a_client_of_the_user_works_whatever_its_settings() {
    let database = Database::clickhouse().await;
    let mut own = client(&database);
    // The opposite of what the statements of a store need.
    for (name, value) in [
        ("join_use_nulls", "0"),
        ("async_insert", "1"),
        ("wait_for_async_insert", "0"),
        ("mutations_sync", "0"),
        ("union_default_mode", "DISTINCT"),
        ("max_threads", "1"),
    ] {
        own = own.with_setting(name, value);
    }
    let store = Store::from_client(own.clone()).graph(graph()).create_tables(true);
    let store = store.await.expect("a store");
    store.sync(videos(0..2_000, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), 2_000);
    store.sync(videos(0..10, "2")).partial(true).await.expect("a sync");
    let counts = store.count_update::<Crop>().await.expect("counts");
    assert_eq!((counts.new, counts.stale, counts.unchanged), (0, 10, 1_990));
    let crops = store.read::<Crop>().rows().await.expect("crops");
    store.delete(&crops).await.expect("a deletion");
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, 2_000);

    assert_eq!(ask(&own, "SELECT getSetting('join_use_nulls')").await, "false");
    assert_eq!(ask(&own, "SELECT getSetting('max_threads')").await, "1");
    // The same database by its address has the same records.
    let other = Store::open(database.url()).graph(graph()).await.expect("a store");
    assert_eq!(other.count_update::<Crop>().await.expect("counts").new, 2_000);
}
