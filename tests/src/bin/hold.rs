//! Another process that has a database open: says `held` and keeps it until its input ends.

use std::io::Read;

fn main() {
    let path = std::env::args().nth(1).expect("the path of a database");
    match duckdb::Connection::open(path) {
        Ok(connection) => {
            println!("held");
            std::io::stdin().read_to_end(&mut Vec::new()).expect("an input that ends");
            drop(connection);
        }
        Err(error) => println!("{error}"),
    }
}
