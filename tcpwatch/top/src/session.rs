//! The loop: what a run yields, keys and time go to the screen, and the screen to the terminal.

use std::{future::pending, io, time::Duration};

use anyhow::{Context as _, Result};
use crossterm::event::{Event, KeyEventKind};
use tcpwatch_core::event::KernelTime;
use tcpwatch_kernel::clock;
use tcpwatch_stream::{ending::StopSignals, looks::Looks, pipeline::Live};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    judging::Judging,
    measuring::Measuring,
    screen::{ReplayStep, Screen, Wish},
    timeline::Timeline,
    tty::{FromTty, Tty},
    writing,
};

/// Between two drawings, while something happens.
const FRAME: Duration = Duration::from_millis(100);
/// The same after a key.
const KEY_FRAME: Duration = Duration::from_millis(20);
/// The same while nothing but ages changes.
const SECOND: Duration = Duration::from_secs(1);

/// The terminal, and when it is drawn to.
pub struct DrawnTerminal {
    tty: Tty,
    stop: Signal,
    go_on: Signal,
    drawn: Instant,
    /// How soon to draw again, counted from the last drawing.
    within: Duration,
}

/// Why the loop is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// The reader wants to; the screen stays.
    Keeping,
    /// The reader wants to, or there is none.
    Going,
}

/// What is to be done after something came from outside.
enum AfterInput {
    Nothing,
    Step(ReplayStep),
    Leave(Leaving),
}

/// Shows a run on the running kernel until the reader, a signal or the run itself ends it.
///
/// # Errors
/// If the run fails, or the terminal cannot be used.
pub async fn live(
    mut stage: DrawnTerminal,
    live: &mut Live<'_>,
    looks: Looks,
    screen: &mut Screen,
) -> Result<()> {
    let (mut judging, mut measuring) = (Judging::new(looks), Measuring::new());
    screen.message = None;
    stage.within = Duration::ZERO;
    let mut leaving = Leaving::Going;
    loop {
        judging.go_on(screen);
        measuring.go_on(screen);
        screen.pass(clock::now());
        stage.draw_if_due(screen)?;
        if !screen.go_on() {
            stage.soon(FRAME);
        }
        let due = stage.due(screen);
        tokio::select! {
            biased;
            asked = stage.asked(screen) => match asked? {
                AfterInput::Leave(how) => {
                    leaving = how;
                    break;
                }
                AfterInput::Nothing | AfterInput::Step(_) => {}
            },
            batch = live.next_batch() => {
                let Some(batch) = batch? else { break };
                screen.origin.clock = *batch.clock;
                batch.items.iter().for_each(|item| screen.apply(item));
                judging.take(&batch, screen);
                stage.soon(FRAME);
            }
            facts = judging.look() => live.note_facts(facts),
            answers = measuring.answered() => {
                screen.measure(&answers);
                stage.soon(FRAME);
            }
            () = sleep_until(due) => {}
        }
    }
    stage.leave(leaving)?;
    live.end();
    while live.next_batch().await?.is_some() {}
    Ok(())
}

/// Shows a recording.
///
/// # Errors
/// If the terminal cannot be used.
pub async fn replay(timeline: &mut Timeline, screen: &mut Screen) -> Result<()> {
    let mut ending = StopSignals::catch().context("cannot catch signals")?;
    let mut stage = DrawnTerminal::enter()?;
    let mut played: Option<(Instant, KernelTime)> = None;
    let leaving = loop {
        if let Some((began, from)) = played {
            timeline.to(from.after(began.elapsed()), screen);
            if timeline.is_over() {
                played = None;
            }
            stage.soon(FRAME);
        }
        screen.progress = timeline.progress(played.is_some());
        stage.draw_if_due(screen)?;
        let due = if played.is_some() { stage.drawn + FRAME } else { stage.due(screen) };
        let waits = played.is_some() || stage.within < SECOND;
        let due = async {
            // Nothing happens by itself.
            if waits { sleep_until(due).await } else { pending().await }
        };
        let asked = tokio::select! {
            biased;
            () = ending.asked() => AfterInput::Leave(Leaving::Going),
            () = due => AfterInput::Nothing,
            asked = stage.asked(screen) => asked?,
        };
        match asked {
            AfterInput::Leave(how) => break how,
            AfterInput::Step(ReplayStep::Play) => {
                let now = screen.live().sockets.now;
                played = if played.is_some() { None } else { Some((Instant::now(), now)) };
            }
            AfterInput::Step(step) => {
                timeline.step(step, screen);
                let now = screen.live().sockets.now;
                played = played.map(|_| (Instant::now(), now));
            }
            AfterInput::Nothing => {}
        }
    };
    stage.leave(leaving)
}

impl DrawnTerminal {
    /// Takes the terminal, and draws the screen while what it will show is still on its way. In a runtime.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn open(screen: &mut Screen) -> Result<Self> {
        screen.message = Some("attaching to the kernel".to_owned());
        let mut stage = Self::enter()?;
        stage.draw_if_due(screen)?;
        Ok(stage)
    }

    /// Draws what is there by now.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn draw(&mut self, screen: &mut Screen) -> Result<()> {
        self.within = Duration::ZERO;
        self.draw_if_due(screen)
    }

    fn enter() -> Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        let stop = catch(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
        let go_on = catch(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let tty = Tty::enter().context("cannot use this terminal")?;
        Ok(Self { tty, stop, go_on, drawn: Instant::now(), within: Duration::ZERO })
    }

    /// Something is to be drawn.
    fn soon(&mut self, within: Duration) {
        self.within = self.within.min(within);
    }

    /// When there is something to be done though nothing comes.
    fn due(&self, screen: &Screen) -> Instant {
        if screen.live().order.is_complete() { self.drawn + self.within } else { Instant::now() }
    }

    fn draw_if_due(&mut self, screen: &mut Screen) -> Result<()> {
        if Instant::now() >= self.drawn + self.within {
            self.tty.draw(screen).or_else(gone).context("cannot write to this terminal")?;
            self.drawn = Instant::now();
            self.within = SECOND;
        }
        Ok(())
    }

    /// Waits for something from outside, and hands it to the screen.
    async fn asked(&mut self, screen: &mut Screen) -> Result<AfterInput> {
        let event = tokio::select! {
            event = self.tty.next() => event,
            _ = self.stop.recv() => {
                self.tty.suspend().or_else(gone)?;
                self.within = Duration::ZERO;
                return Ok(AfterInput::Nothing);
            }
            _ = self.go_on.recv() => {
                self.tty.retake().or_else(gone)?;
                self.within = Duration::ZERO;
                return Ok(AfterInput::Nothing);
            }
        };
        let FromTty::Input(event) = event else { return Ok(AfterInput::Leave(Leaving::Going)) };
        self.soon(KEY_FRAME);
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let wish = screen.press(&key);
                wish.map_or(Ok(AfterInput::Nothing), |wish| self.fulfil(wish, screen))
            }
            Event::Mouse(event) => {
                screen.point(&event);
                Ok(AfterInput::Nothing)
            }
            _ => Ok(AfterInput::Nothing),
        }
    }

    fn fulfil(&mut self, wish: Wish, screen: &mut Screen) -> Result<AfterInput> {
        match wish {
            Wish::Quit { keep: true } => return Ok(AfterInput::Leave(Leaving::Keeping)),
            Wish::Quit { keep: false } => return Ok(AfterInput::Leave(Leaving::Going)),
            Wish::Step(step) => return Ok(AfterInput::Step(step)),
            Wish::Suspend => self.tty.suspend().or_else(gone)?,
            Wish::Redraw => self.tty.forget(),
            Wish::Write(path) => {
                let written = writing::write(&path, screen);
                let name = path.display();
                screen.message = Some(match written {
                    Ok(count) => format!("{count} sockets are in {name}"),
                    Err(error) => format!("cannot write {name}: {error}"),
                });
            }
            Wish::Mouse(on) => self.tty.take_mouse(on).or_else(gone)?,
            Wish::Copy(text) => self.tty.copy(&text).or_else(gone)?,
        }
        self.within = Duration::ZERO;
        Ok(AfterInput::Nothing)
    }

    fn leave(self, how: Leaving) -> Result<()> {
        if how == Leaving::Keeping {
            self.tty.leave_drawn().or_else(gone)?;
        }
        Ok(())
    }
}

/// A terminal that is gone ends the program in order, as soon as that is known; it is no failure.
fn gone(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(errno) if errno == rustix::io::Errno::IO.raw_os_error() => Ok(()),
        _ => Err(error),
    }
}
