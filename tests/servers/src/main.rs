//! `server-host ENGINE FOLDER [URL]`: runs a server on a folder until the input ends.
//!
//! Says `ready` and the address when the server can be used, or else what is wrong. With a URL, the
//! server listens where it did before. If the input ends without saying `keep`, whoever has asked for the
//! server has gone, and the folder goes too.

mod clickhouse;
mod cluster;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let (engine, folder, url) = (args.next(), args.next(), args.next().unwrap_or_default());
    let (Some(engine), Some(folder)) = (engine, folder.map(PathBuf::from)) else {
        println!("`server-host` takes an engine and a folder");
        return ExitCode::FAILURE;
    };
    let ran = match engine.as_str() {
        "postgres" => cluster::run(&folder),
        "clickhouse" => clickhouse::run(&folder, &url),
        _ => Err(format!("there is no engine `{engine}`")),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
