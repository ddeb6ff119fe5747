//! A process that writes a record, then begins to write another one, and dies.

use metaxy_tests::batch::batch;
use metaxy_tests::flow::{graph, key, write};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("the address of a store");
    let features = graph(&[json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })]);
    let store = metaxy::Store::open(url).graph(features).create_tables(true).await;
    let store = store.expect("a store");
    let row = |id: u32| json!({ "id": id, "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[row(1)]).await.expect("good rows");
    let mut out = store.batch_writer(&key("a"));
    out.push(&batch(&[row(2)])).await.expect("good rows");
    std::process::abort();
}
