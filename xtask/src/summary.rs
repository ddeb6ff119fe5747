//! Counts tests from what test programs print, for the last line of a long run.

use std::fmt;
use std::time::Instant;

/// What all test programs of a run said together.
pub(crate) struct Summary {
    started: Instant,
    programs: u32,
    passed: u32,
    failed: u32,
    /// The names of failed tests, in the order of the run.
    failures: Vec<String>,
}

impl Summary {
    pub(crate) fn new() -> Summary {
        Summary { started: Instant::now(), programs: 0, passed: 0, failed: 0, failures: Vec::new() }
    }

    /// Takes one line of output into account.
    pub(crate) fn see(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
        // test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
        let Some(result) = line.strip_prefix("test result: ") else { return };
        self.programs += 1;
        let count = |word: &str| {
            let before = result.split_once(word)?.0.trim_end();
            before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
    }

    /// Whether anything ran at all: a run that finds no test proves nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.started.elapsed().as_secs();
        for name in &self.failures {
            writeln!(f, "failed: {name}")?;
        }
        write!(
            f,
            "{} tests passed, {} failed, in {} test programs ({} min {:02} s)",
            self.passed,
            self.failed,
            self.programs,
            seconds / 60,
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_are_added_up() {
        let mut summary = Summary::new();
        for line in [
            "running 2 tests\n",
            "test a::works ... ok\n",
            "test b::breaks ... FAILED\n",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n",
        ] {
            summary.see(line);
        }
        let text = summary.to_string();
        assert!(
            text.starts_with("failed: b::breaks\n13 tests passed, 1 failed, in 2 test programs"),
            "{text}"
        );
        assert!(!summary.is_empty());
    }

    #[test]
    fn no_test_is_noticed() {
        let mut summary = Summary::new();
        summary.see("test result: ok. 0 passed; 0 failed; 0 ignored\n");
        assert!(summary.is_empty());
    }
}
