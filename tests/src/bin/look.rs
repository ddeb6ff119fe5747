//! Another process that has a store open for reading: says how many records of `a` there are, and
//! keeps it until its input ends.

use metaxy_tests::flow::{graph, read};
use serde_json::json;
use std::io::Read;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("the address of a store");
    let features = graph(&[json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })]);
    match metaxy::Store::open(url).graph(features).read_only(true).await {
        Ok(store) => {
            println!("{}", read(&store, "a").await.len());
            std::io::stdin().read_to_end(&mut Vec::new()).expect("an input that ends");
            drop(store);
        }
        Err(error) => println!("{error}"),
    }
}
