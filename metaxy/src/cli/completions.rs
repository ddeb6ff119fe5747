//! `metaxy completions` and `metaxy man`: what shells and manuals know of the commands.

use super::{Failure, Output};
use clap::Args;
use clap_complete::Shell;

/// Print the completions for a shell
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut Output) -> Result<(), Failure> {
        let mut command = super::command();
        let name = command.get_name().to_owned();
        // Into memory: the generator panics when a pipe is closed.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        Ok(out.data().write_all(&text)?)
    }
}

/// Print the manual page, with all commands
#[derive(Debug, Args)]
pub(super) struct Man {}

impl Man {
    pub(super) fn run(&self, out: &mut Output) -> Result<(), Failure> {
        let mut command = super::command();
        command.build();
        clap_mangen::Man::new(command.clone()).render(out.data())?;
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            clap_mangen::Man::new(command.clone()).render(out.data())?;
        }
        Ok(())
    }
}
