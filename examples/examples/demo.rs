//! Changes a scratch copy of a folder step by step, and shows what each change costs.
//!
//! ```text
//! cargo xtask demo                               # this repository
//! cargo xtask demo examples/sample               # the output that examples/README.md explains
//! cargo run --features postgres --example demo -- --store postgres://user@host/database
//! ```

use std::io;
use std::path::PathBuf;

use clap::Parser;
use metaxy_examples::{Result, demo};

/// Changes a scratch copy of a folder step by step, and shows what each change costs.
#[derive(Parser)]
struct Cli {
    /// The folder to copy; without one, the sources and documents of this repository
    folder: Option<PathBuf>,
    /// An empty store to keep the metadata in, instead of a DuckDB file: Postgres or ClickHouse
    #[arg(long)]
    store: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let folder = cli.folder.unwrap_or_else(metaxy_examples::repository);
    demo::run(&folder, cli.store.as_deref(), &mut io::stdout()).await
}
