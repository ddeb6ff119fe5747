//! Keeps statistics, an index and an overview of the files of a folder, and computes only what has to be.
//!
//! ```text
//! cargo run --example pipeline                   # this repository
//! cargo run --example pipeline -- path/to/folder
//! cargo run --features postgres --example pipeline -- --store postgres://user@host/database
//! cargo run --features clickhouse --example pipeline -- --store clickhouse://host:8123/database
//! ```

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use metaxy_examples::Result;
use metaxy_examples::compute::SymbolRules;
use metaxy_examples::features::Overview;
use metaxy_examples::pipeline::Pipeline;

/// Keeps statistics, an index and an overview of the files of a folder.
#[derive(Parser)]
struct Cli {
    /// The folder to read; without one, the sources and documents of this repository
    folder: Option<PathBuf>,
    /// Where the metadata is kept: in DuckDB, Postgres or ClickHouse
    #[arg(long, default_value = "duckdb:files.duckdb")]
    store: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let folder = cli.folder.unwrap_or_else(metaxy_examples::repository);
    let started = Instant::now();
    let pipeline = Pipeline::open(folder, &cli.store, SymbolRules::default()).await?;
    println!("{}", pipeline.run().await?);
    eprintln!("{:.1} s; the metadata is in {}", started.elapsed().as_secs_f64(), cli.store);

    let mut files: Vec<Overview> = pipeline.store().read().rows().await?;
    files.sort_by(|a, b| b.minutes_to_read.total_cmp(&a.minutes_to_read));
    println!("\nThe longest reads:");
    for file in files.iter().take(5) {
        println!("{:6.1} min  {}", file.minutes_to_read, file.path);
    }
    Ok(())
}
