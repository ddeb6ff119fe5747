//! Another process that writes to a store: so many commits of so many records, the first of which all
//! processes write.

use metaxy::prelude::*;

/// What it writes.
#[derive(Feature)]
#[metaxy(key = "processes/record")]
struct Record {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    x: DataVersion,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().expect("an address, a name, and how many commits and records");
    let (url, name) = (next(), next());
    let [commits, records] = [next(), next()].map(|n| n.parse::<u32>().expect("a number"));
    let graph = FeatureGraph::of::<Record>().expect("a graph");
    let store = Store::open(url).graph(graph).create_tables(true).await.expect("a store");
    for commit in 0..commits {
        let mut out = store.writer::<Record>();
        let x = DataVersion::new(format!("{name}-{commit}"));
        for record in 0..records {
            let id = if record == 0 { "shared".to_owned() } else { format!("{name} {record}") };
            out.push(Record { id, x: x.clone() }).await.expect("a record");
        }
        out.commit().await.expect("a commit");
    }
}
