//! The terminal: drawn to, read from, and left as it was, whatever ends the program.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    os::fd::AsFd as _,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor::{Hide, Show},
    event::{DisableMouseCapture, EnableMouseCapture, Event},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
        LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
    },
};
use ratatui_core::{backend::Backend as _, buffer::Buffer, layout::Rect};
use ratatui_crossterm::CrosstermBackend;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, getpid, kill_process},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{draw::draw, messages::Messages, screen::Screen};

/// Something that the terminal does.
#[derive(Debug)]
pub enum FromTty {
    /// A key, or another size.
    Input(Event),
    /// It is gone.
    Gone,
}

/// The terminal, with the screen on it. Dropped, it is left.
pub struct Tty {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    /// What is on it.
    drawn: Buffer,
    input: UnboundedReceiver<FromTty>,
    mouse: bool,
}

/// The screen is on the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A panic's message goes to the terminal as it was.
static PANIC_HOOK: Once = Once::new();

impl Tty {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it cannot be set or written.
    pub fn enter() -> io::Result<Self> {
        PANIC_HOOK.call_once(|| {
            let hook = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                leave();
                hook(panic);
            }));
        });
        let (sender, input) = unbounded_channel();
        watch_end(sender.clone())?;
        take()?;
        // Not joined: with the terminal gone, crossterm 0.29 reads for ever (its issue 793).
        thread::Builder::new().name("keys".to_owned()).spawn(move || read(&sender))?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
        Ok(Self { backend, drawn: Buffer::empty(Rect::ZERO), input, mouse: false })
    }

    /// What it does next. Nothing is lost if this is dropped before it returns.
    pub async fn next(&mut self) -> FromTty {
        self.input.recv().await.unwrap_or(FromTty::Gone)
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let (width, height) = size()?;
        let area = Rect::new(0, 0, width, height);
        let mut next = Buffer::empty(area);
        draw(screen, &mut next);
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if self.drawn.area != area {
            queue!(self.backend, Clear(ClearType::All))?;
            self.drawn = Buffer::empty(area);
        }
        self.backend.draw(self.drawn.diff(&next).into_iter())?;
        queue!(self.backend, EndSynchronizedUpdate)?;
        self.drawn = next;
        io::Write::flush(&mut self.backend)
    }

    /// The next drawing is one of everything.
    pub fn forget(&mut self) {
        self.drawn = Buffer::empty(Rect::ZERO);
    }

    /// Stops this program until it is continued, with the terminal as it was meanwhile. Not by SIGTSTP, which the
    /// kernel ignores in an orphaned process group.
    ///
    /// # Errors
    /// If the terminal cannot be set or written.
    pub fn suspend(&mut self) -> io::Result<()> {
        leave();
        kill_process(getpid(), Signal::STOP)?;
        self.retake()
    }

    /// Somebody else may have had the terminal meanwhile.
    ///
    /// # Errors
    /// If the terminal cannot be set or written.
    pub fn retake(&mut self) -> io::Result<()> {
        // It remembers that it was done, and would do nothing.
        disable_raw_mode()?;
        take()?;
        self.forget();
        if self.mouse { self.take_mouse(true) } else { Ok(()) }
    }

    /// Takes the mouse, or leaves it to the terminal, which then selects text.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn take_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on {
            execute!(self.backend, EnableMouseCapture)
        } else {
            execute!(self.backend, DisableMouseCapture)
        }
    }

    /// Asks the terminal to copy a text (OSC 52).
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.backend, CopyToClipboard::to_clipboard_from(text))
    }

    /// Leaves the terminal with what was drawn last as text on it.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn leave_drawn(self) -> io::Result<()> {
        let text = crate::draw::text_of(&self.drawn);
        drop(self);
        io::stdout().write_all(text.as_bytes())?;
        io::stdout().flush()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        leave();
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    Messages::hold();
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

/// Leaves the terminal as it was, once: what was written since, such as a panic's message, would be written over
/// by what follows, because the cursor goes back to where it was. A terminal that is gone cannot be left: that is no
/// error.
fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _left = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        LeaveAlternateScreen,
        Show
    )
    .is_ok();
    let _cooked = disable_raw_mode().is_ok();
    Messages::release();
}

fn read(sender: &UnboundedSender<FromTty>) {
    while let Ok(event) = crossterm::event::read() {
        if sender.send(FromTty::Input(event)).is_err() {
            return;
        }
    }
    // Nobody waits for it any more, or it is the last word.
    let _sent = sender.send(FromTty::Gone).is_ok();
}

/// A thread that waits for the end of the terminal.
fn watch_end(sender: UnboundedSender<FromTty>) -> io::Result<()> {
    let tty = io::stdout().as_fd().try_clone_to_owned()?;
    let watch = move || {
        loop {
            let mut watched = [PollFd::new(&tty, PollFlags::empty())];
            match poll(&mut watched, None) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        let _sent = sender.send(FromTty::Gone).is_ok();
    };
    thread::Builder::new().name("tty".to_owned()).spawn(watch).map(drop)
}
