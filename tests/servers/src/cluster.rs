//! A Postgres cluster in a folder, which listens on a socket in that folder and nowhere else.
//!
//! It sorts texts as a user's own server does, in the order of a language: what forgets
//! `COLLATE "C"` shows here.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use test_servers::{POSTGRES_MISSING, is_root, postgres_programs};

/// Nothing here has to survive a power cut, but what is committed has to survive a crash of the server.
const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c wal_level=minimal \
                        -c max_wal_senders=0 -c max_connections=300";

/// Runs a server until the input ends; makes its cluster first, if there is none.
pub(crate) fn run(folder: &Path) -> Result<(), String> {
    let programs = postgres_programs().ok_or(POSTGRES_MISSING)?;
    let data = folder.join("data");
    let program = |name: &str| {
        // Postgres refuses to be root.
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(programs.join(name));
            command
        } else {
            Command::new(programs.join(name))
        };
        command.arg("-D").arg(&data).current_dir(folder);
        command
    };

    if !data.exists() {
        if is_root() {
            output(Command::new("chown").arg("postgres:").arg(folder))?;
        }
        output(program("initdb").args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--no-instructions",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=icu",
            "--icu-locale=en-US",
        ]))?;
        // Unlike an option of the program, a test can change it with `ALTER SYSTEM`.
        let file = fs::File::options().append(true).open(data.join("postgresql.conf"));
        let written = file.and_then(|mut file| writeln!(file, "listen_addresses = ''"));
        written.map_err(|error| format!("`postgresql.conf`: {error}"))?;
    }

    let log = folder.join("log");
    let settings = format!("{SETTINGS} -c unix_socket_directories='{}'", folder.display());
    let mut start = program("pg_ctl");
    start.args(["start", "--wait", "--silent", "--timeout=60", "--options", &settings]);
    output(start.arg("--log").arg(&log)).map_err(|error| {
        format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default().trim_end())
    })?;

    println!("ready postgres:///postgres?host={}&user=postgres", folder.display());
    let mut said = String::new();
    drop(std::io::stdin().read_to_string(&mut said));
    // Its processes end where they are, as if they had been killed, but leave no shared memory.
    output(program("pg_ctl").args(["stop", "--wait", "--silent", "--mode=immediate"]))?;
    if said.trim_end() != "keep" {
        fs::remove_dir_all(folder).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Runs a command; what it says is the error when it fails.
fn output(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{name}` could not be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&said).trim_end()))
}
