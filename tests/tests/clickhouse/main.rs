//! What is ClickHouse's own: statements as its engine understands them, types, faults, and what crosses
//! the wire.

mod client;
mod faults;
mod statements;
mod types;
mod wire;

use clickhouse::Client;
use metaxy_tests::databases::Database;
use url::Url;

/// A client of a test's own, with the settings that statements rely on.
fn client(database: &Database) -> Client {
    let url = Url::parse(&database.url()).expect("an address");
    let host = url.host_str().expect("a host");
    let port = url.port().unwrap_or(8123);
    let mut client = Client::default()
        .with_url(format!("http://{host}:{port}"))
        .with_user(if url.username().is_empty() { "default" } else { url.username() })
        .with_password(url.password().unwrap_or_default())
        .with_database(url.path().trim_start_matches('/'));
    for (name, value) in metaxy_sql::dialect::CLICKHOUSE_SETTINGS {
        client = client.with_setting(*name, *value);
    }
    client
}
