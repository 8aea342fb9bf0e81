//! Lists of sockets to compare the counts with. Other network namespaces take `CAP_SYS_ADMIN` to be entered, which a
//! process that listens does not keep; so a process beside it makes the lists, listens to nothing and reads nothing but
//! single bytes. Holding the namespaces open instead would keep them alive after their last process has gone.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::source::snapshot::{Scope, Surveyed, survey_everywhere};

use super::flows::GROUPS;

/// The sockets that one list has, in each group of [`GROUPS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) sockets: [i64; GROUPS.len()],
    /// Network namespaces that were listed to the end.
    pub(super) namespaces: usize,
    /// Those that were not.
    pub(super) skipped: usize,
    /// Processes that do not show theirs.
    pub(super) hidden_processes: usize,
}

/// Makes lists, as often as it is asked to.
pub struct Lister {
    scope: Scope,
    beside: Option<Beside>,
}

/// The process that makes them.
struct Beside {
    child: Child,
    /// Each byte asks for a list; closed, it ends the process.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Lister {
    /// Lists are made by this process.
    #[must_use]
    pub const fn here(scope: Scope) -> Self {
        Self { scope, beside: None }
    }

    /// Lists are made by a process of their own: `command` calls [`answer`] with the same scope.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn beside(scope: Scope, mut command: Command) -> io::Result<Self> {
        // Ctrl-C ends this process, and that one by the end of its input.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let beside = Beside { child, asks: Some(asks), answers: BufReader::new(answers) };
        Ok(Self { scope, beside: Some(beside) })
    }

    /// A list of now.
    ///
    /// # Errors
    /// If `/proc` cannot be read, or not even the caller's own namespace listed.
    pub(super) fn list(&mut self) -> Result<Listed> {
        let Some(beside) = &mut self.beside else { return list(self.scope) };
        let answer = beside.ask();
        if answer.is_err() {
            // From now on by this process, as far as that reaches.
            self.beside = None;
        }
        answer?
    }
}

impl Beside {
    /// What it answers; the outer error is its end.
    fn ask(&mut self) -> Result<Result<Listed>> {
        let mut line = String::new();
        let mut asks = self.asks.as_ref().context("the process that lists sockets is not asked")?;
        let asked = asks.write_all(b"\n").and_then(|()| self.answers.read_line(&mut line));
        let read = asked.context("the process that lists sockets does not answer")?;
        ensure!(read > 0, "the process that lists sockets has ended");
        Ok(Listed::from_line(&line))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.asks = None;
        if let Err(error) = self.child.wait() {
            tracing::debug!("the process that lists sockets is left to itself: {error}");
        }
    }
}

impl Listed {
    fn to_line(self) -> String {
        let mut line = format!("{} {} {}", self.namespaces, self.skipped, self.hidden_processes);
        for sockets in self.sockets {
            let _written = write!(line, " {sockets}").is_ok();
        }
        line
    }

    /// What [`Self::to_line`] wrote; any other text is the reason why there is no list.
    fn from_line(line: &str) -> Result<Self> {
        let line = line.trim_end();
        let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<i64>, _>>();
        let Ok([namespaces, skipped, hidden, rest @ ..]) = numbers.as_deref() else {
            return Err(anyhow!("{line}"));
        };
        Ok(Self {
            sockets: rest.try_into().with_context(|| format!("no list: {line}"))?,
            namespaces: (*namespaces).try_into()?,
            skipped: (*skipped).try_into()?,
            hidden_processes: (*hidden).try_into()?,
        })
    }
}

/// Answers the process that started this one, until it ends: a list on standard output for each byte on standard input.
///
/// # Errors
/// If one of both fails in another way than by its end.
pub fn answer(scope: Scope) -> io::Result<()> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    while stdin.read(&mut [0])? > 0 {
        let line = match list(scope) {
            Ok(listed) => listed.to_line(),
            Err(error) => format!("{error:#}").replace('\n', " "),
        };
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
    }
    Ok(())
}

fn list(scope: Scope) -> Result<Listed> {
    let states: Vec<_> = GROUPS.iter().flat_map(|(_, states)| *states).copied().collect();
    let found = survey_everywhere(scope, &states, |tally: &mut Tally, socket: &Surveyed| {
        tally.add(socket.state);
    })?;
    let mut listed = Listed {
        namespaces: found.tallies.len(),
        skipped: found.skipped,
        hidden_processes: found.hidden_processes,
        ..Listed::default()
    };
    for (_, tally) in &found.tallies {
        for (sum, sockets) in listed.sockets.iter_mut().zip(tally.0) {
            *sum += sockets;
        }
    }
    Ok(listed)
}

#[derive(Default)]
struct Tally([i64; GROUPS.len()]);

impl Tally {
    fn add(&mut self, state: TcpState) {
        let counts = GROUPS.iter().zip(&mut self.0);
        let counts = counts.filter(|((_, states), _)| states.contains(&state));
        counts.for_each(|(_, count)| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_passes_through_a_pipe_as_it_is_and_a_reason_as_an_error() {
        let listed = Listed {
            sockets: [1, 0, 3, 400_000, 5, 6, 7, 8, 9],
            namespaces: 12,
            skipped: 1,
            hidden_processes: 2,
        };
        assert_eq!(Listed::from_line(&(listed.to_line() + "\n")).unwrap(), listed);
        for line in [
            "",
            "cannot list",
            "1 2 3",
            "1 2 3 4 5 6 7 8 9 10 11 12 13",
            "-1 0 0 1 1 1 1 1 1 1 1 1",
        ] {
            assert!(Listed::from_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_an_error_once_and_then_this_one_lists() {
        let mut lister = Lister::beside(Scope::Every, Command::new("true")).unwrap();
        let error = lister.list().unwrap_err().to_string();
        assert!(error.contains("the process that lists sockets"), "{error}");
        assert!(lister.list().unwrap().namespaces >= 1);
    }
}
