//! How long a resolve takes, and how much memory: see the library of the same name.

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    metaxy_bench::run().await
}
