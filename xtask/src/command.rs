//! Programs that run to their end.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

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
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{typed}`"))?;
    ensure!(output.status.success(), "`{typed}` failed ({})", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("`{typed}` printed other than text"))
}

/// A command line as a user would type it.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
