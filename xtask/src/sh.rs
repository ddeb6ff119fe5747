//! External commands: shown before they run, and named when they fail.
//!
//! Nothing is read from standard input, so that a run without a terminal cannot hang.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

/// Why a task stopped: one message that says what to do about it.
#[derive(Debug)]
pub(crate) struct Failure(String);

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when the system refused.
pub(crate) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure(format!("cannot {}: {error}", doing())))
    }
}

/// Runs `command` with its output passed through.
pub(crate) fn run(command: &mut Command) -> Result {
    echo(command);
    let status = command.stdin(Stdio::null()).status().map_err(|e| not_started(command, &e))?;
    succeeded(command, status)
}

/// Runs `command`, passes its standard output through line by line and shows each line to `see`.
pub(crate) fn run_seeing(command: &mut Command, mut see: impl FnMut(&str)) -> Result {
    echo(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| not_started(command, &e))?;
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
    let mut line = Vec::new();
    let mut out = io::stdout();
    while lines
        .read_until(b'\n', &mut line)
        .context(|| format!("read from `{}`", shown(command)))?
        > 0
    {
        out.write_all(&line).and_then(|()| out.flush()).context(|| "write to stdout".to_owned())?;
        see(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context(|| format!("wait for `{}`", shown(command)))?;
    succeeded(command, status)
}

/// Whether a program answers at all when it is asked for its version.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn echo(command: &Command) {
    eprintln!("$ {}", shown(command));
}

fn succeeded(command: &Command, status: ExitStatus) -> Result {
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("`{}` failed ({status})", shown(command))))
    }
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    Failure(format!("`{}` could not be started: {error}", shown(command)))
}

/// The command as one would type it: variables first, quotes where a shell wants them.
fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| format!("{}={}", name.display(), quoted(&value.to_string_lossy())));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    variables.chain(words.map(|word| quoted(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("cargo");
        command.args(["test", "it's one", ""]).env("INSTA_UPDATE", "no").env_remove("TRYBUILD");
        assert_eq!(shown(&command), r"INSTA_UPDATE=no cargo test 'it'\''s one' ''");
    }

    #[test]
    fn a_failure_names_the_command() {
        let mut command = Command::new("cargo");
        // Its message would look like one of the test run's own.
        command.arg("no-such-command").stderr(Stdio::null());
        let failure = run(&mut command).unwrap_err().to_string();
        assert!(failure.starts_with("`cargo no-such-command` failed"), "{failure}");
        let failure = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(failure.starts_with("`no-such-program` could not be started"), "{failure}");
    }
}
