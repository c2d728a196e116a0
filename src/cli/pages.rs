//! Manual pages and shell completions, made of the arguments themselves.

use super::Failure;
use super::args::Cli;
use super::files::show;
use super::offline_args::{CompletionsArgs, ManArgs};
use super::profile::Profile;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// The program, without what only this machine has.
fn command() -> Command {
    Cli::command().long_version(None)
}

/// Writes the manual: the page of the program to the standard output, or all pages into a folder.
pub fn man(arguments: &ManArgs) -> Result<(), Failure> {
    match &arguments.dir {
        Some(dir) => clap_mangen::generate_to(command(), dir).map_err(|error| {
            Failure::Arguments(format!("--dir {}: cannot be written: {error}", dir.display()))
        }),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command()).render(&mut page).map_err(Failure::run)?;
            show(&page)
        }
    }
}

/// Writes the completions of a shell to the standard output.
pub fn completions(arguments: &CompletionsArgs) -> Result<(), Failure> {
    show(script(arguments.shell).as_bytes())
}

/// The completions of a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "lastack", &mut script);
    let text = String::from_utf8_lossy(&script);
    // a profile may be a file as well
    let names: Vec<&str> = Profile::names().collect();
    let words = format!("compgen -W \"{}\"", names.join(" "));
    text.replace(&words, &words.replace("compgen -W", "compgen -f -W"))
}
