//! Starting other programs.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Runs a program; what it prints is shown.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let typed = typed(command);
    let status = command.status().with_context(|| format!("cannot start `{typed}`"))?;
    ensure!(status.success(), "`{typed}` failed ({status})");
    Ok(())
}

/// Runs a program and returns what it prints; what it prints on stderr is shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let typed = typed(command);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{typed}`"))?;
    ensure!(output.status.success(), "`{typed}` failed ({})", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("`{typed}` printed other than text"))
}

/// A command line as a user would type it.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Makes the kernel end the process when the thread that starts it ends, for whatever cause.
pub(crate) fn die_with_this_thread(command: &mut Command) {
    let die = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec this makes one system call and nothing else.
    unsafe { command.pre_exec(die) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_returned_wherever_it_would_have_gone() {
        let mut command = Command::new("echo");
        command.arg("text").stdout(std::io::stderr());
        assert_eq!(output(&mut command).unwrap(), "text\n");
    }
}
