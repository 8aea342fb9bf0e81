//! Completions for shells and manual pages, made from the definition of the command line.

use std::{fs, io, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, exit};

/// `tcpwatch completions`: prints the completions for a shell.
///
/// # Errors
/// If stdout cannot be written.
pub fn completions(shell: Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tcpwatch", &mut script);
    exit::print(script)?;
    Ok(ExitCode::SUCCESS)
}

/// `tcpwatch manpages`: writes `tcpwatch.1` and a page for each command, `tcpwatch-lab-run.1`, into a directory.
///
/// # Errors
/// If a page cannot be written.
pub fn manpages(dir: &Path, date: &str) -> Result<ExitCode> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let written = pages(&command, dir, date);
    written.with_context(|| format!("cannot write manual pages to {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The page of a command and those of its own commands.
fn pages(command: &clap::Command, dir: &Path, date: &str) -> io::Result<()> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_for_each(|command| pages(command, dir, date))?;
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let source = concat!("tcpwatch ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).date(date).source(source).manual("tcpwatch");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(dir.join(format!("{name}.1")), tidy(&String::from_utf8_lossy(&text)))
}

/// Without line breaks beside empty lines, which have no effect and which mandoc(1) warns of.
fn tidy(page: &str) -> String {
    let lines: Vec<_> = page.lines().collect();
    let is_space = |index: Option<usize>| {
        index.and_then(|index| lines.get(index)).is_some_and(|line| [".sp", ""].contains(line))
    };
    let kept = lines.iter().enumerate().filter(|(index, line)| {
        **line != ".br" || !(is_space(index.checked_sub(1)) || is_space(Some(index + 1)))
    });
    kept.fold(String::new(), |text, (_, line)| text + line.trim_end() + "\n")
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn no_line_break_is_beside_an_empty_line() {
        let page = "The shell\n.br\n\n.br\nbash\n.br\nzsh\n.sp\n.br\nend\n";
        assert_eq!(tidy(page), "The shell\n\nbash\n.br\nzsh\n.sp\nend\n");
    }
}
