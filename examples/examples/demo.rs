//! Changes a scratch copy of a folder step by step, and shows what each change costs.
//!
//! ```text
//! cargo xtask demo                               # this repository
//! cargo xtask demo examples/sample               # the output that examples/README.md explains
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
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = Cli::parse().folder.unwrap_or_else(metaxy_examples::repository);
    demo::run(&folder, &mut io::stdout()).await
}
