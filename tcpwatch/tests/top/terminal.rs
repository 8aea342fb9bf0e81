//! On a real terminal: what is typed, other sizes, signals, and the terminal as it was at the end.

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tcpwatch_top::session::DrawnTerminal;
use vt100::{MouseProtocolMode, Parser};

use super::cost::with_sockets;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program on a terminal of its own, below a shell that says when it is back.
pub(super) struct OnTerminal {
    master: Option<Box<dyn MasterPty + Send>>,
    child: Box<dyn Child + Send + Sync>,
    writer: Option<Box<dyn Write + Send>>,
    seen: Arc<(Mutex<Parser>, Condvar)>,
    /// Keeps the terminal open as long as it reads.
    reader: Option<JoinHandle<()>>,
    unwanted: Arc<AtomicBool>,
}

const fn some(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("no empty terminal")
}

fn recording() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/much_goes_wrong.jsonl");
    path.to_str().expect("a path of letters").to_owned()
}

impl OnTerminal {
    /// Runs a script of `sh` with `$top` as the command for a recording, `$live` for the running kernel.
    pub(super) fn run(script: &str) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new("/bin/sh");
        command.args(["-c", script]);
        command.env("TERM", "xterm-256color");
        let top = format!("{} top --utc --replay {}", env!("CARGO_BIN_EXE_tcpwatch"), recording());
        command.env("top", top);
        command.env("live", format!("{} top --utc", env!("CARGO_BIN_EXE_tcpwatch")));
        let child = pair.slave.spawn_command(command).expect("a shell");
        drop(pair.slave);
        let seen = Arc::new((Mutex::new(Parser::new(some(24), some(80), 0)), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().expect("its output");
        let writer = pair.master.take_writer().expect("its input");
        let into = Arc::clone(&seen);
        let unwanted = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&unwanted);
        let thread = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                into.0.lock().expect("no panic").process(&bytes[..length]);
                into.1.notify_all();
            }
        });
        let (master, writer, reader) = (Some(pair.master), Some(writer), Some(thread));
        Self { master, child, writer, seen, reader, unwanted }
    }

    /// Waits until this is on the screen; returns the screen.
    pub(super) fn shows(&self, text: &str) -> String {
        let (parser, changed) = &*self.seen;
        let parser = parser.lock().expect("no panic");
        let lacks = |parser: &mut Parser| !parser.screen().contents().contains(text);
        let (parser, waited) =
            changed.wait_timeout_while(parser, PATIENCE, lacks).expect("no panic");
        let screen = parser.screen().contents();
        assert!(!waited.timed_out(), "there is no {text:?} in\n{screen}");
        screen
    }

    fn is_alternate(&self) -> bool {
        self.seen.0.lock().expect("no panic").screen().alternate_screen()
    }

    fn mouse(&self) -> MouseProtocolMode {
        self.seen.0.lock().expect("no panic").screen().mouse_protocol_mode()
    }

    pub(super) fn types(&mut self, keys: &str) {
        let writer = self.writer.as_mut().expect("the terminal is there");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("it takes keys");
    }

    fn resize(&self, cols: u16, rows: u16) {
        self.seen.0.lock().expect("no panic").screen_mut().set_size(some(rows), some(cols));
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().expect("the terminal is there").resize(size).expect("another size");
    }

    /// Closes the terminal. Whatever is drawn next ends the reader before.
    fn is_closed(&mut self) {
        self.unwanted.store(true, Ordering::SeqCst);
        self.types(".");
        self.reader.take().expect("it reads").join().expect("no panic");
        drop(self.writer.take());
        drop(self.master.take());
    }

    /// Waits for the end.
    fn ends(&mut self) {
        let began = Instant::now();
        while self.child.try_wait().expect("a child").is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _killed = self.child.kill().is_ok();
    }
}

/// The settings of the terminal before and after; the program in between, its number in `$!`.
const COMPARED: &str = "before=$(stty -g); $top; echo status $?; \
                        test \"$before\" = \"$(stty -g)\" && echo as it was; sleep 30";

#[test]
fn keys_are_taken_the_size_is_followed_and_the_end_leaves_the_terminal_as_it_was() {
    let mut terminal = OnTerminal::run(COMPARED);
    terminal.shows("tcpwatch top");
    assert!(terminal.is_alternate());
    terminal.types("....");
    terminal.shows("REPLAY 4/");
    terminal.resize(160, 48);
    terminal.shows("life of");
    terminal.types("/state:listen\r");
    terminal.shows("/state:listen: ");
    terminal.types("q");
    let screen = terminal.shows("as it was");
    assert!(screen.contains("status 0"), "{screen}");
    assert!(!terminal.is_alternate());
}

#[test]
fn the_screen_stays_if_that_is_wanted() {
    let mut terminal = OnTerminal::run(COMPARED);
    terminal.shows("tcpwatch top");
    terminal.types("Q");
    let screen = terminal.shows("as it was");
    assert!(screen.contains("STATE") && !terminal.is_alternate(), "{screen}");
}

#[test]
fn a_signal_ends_it_with_the_terminal_as_it_was() {
    for signal in ["TERM", "HUP", "INT"] {
        let script = format!(
            "before=$(stty -g); (sleep 1; kill -{signal} $(pgrep -P $$ tcpwatch)) & $top; \
             echo status $?; test \"$before\" = \"$(stty -g)\" && echo as it was; sleep 30"
        );
        let terminal = OnTerminal::run(&script);
        let screen = terminal.shows("as it was");
        assert!(screen.contains("status 0"), "{signal}: {screen}");
        assert!(!terminal.is_alternate(), "{signal}");
    }
}

/// What the next test runs on a terminal: the screen is up, and something goes wrong.
#[test]
#[ignore = "it needs a terminal of its own: the next test gives it one"]
fn panics() {
    let mut screen = with_sockets(3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let _terminal = DrawnTerminal::open(&mut screen).expect("a terminal");
        panic!("what went wrong");
    });
}

#[test]
fn a_panic_is_shown_on_the_terminal_as_it_was() {
    let this = std::env::current_exe().expect("this program");
    let run = format!("{} --ignored --exact top::terminal::panics --nocapture", this.display());
    let terminal = OnTerminal::run(&format!(
        "before=$(stty -g); RUST_BACKTRACE=0 {run}; echo status $?; \
         test \"$before\" = \"$(stty -g)\" && echo as it was; sleep 30"
    ));
    let screen = terminal.shows("as it was");
    assert!(screen.contains("what went wrong") && screen.contains("status 101"), "{screen}");
    assert!(!terminal.is_alternate());
}

#[test]
fn the_mouse_is_taken_when_asked_for_and_left_at_the_end() {
    let mut terminal = OnTerminal::run(COMPARED);
    terminal.shows("tcpwatch top");
    terminal.types("40.");
    assert_eq!(terminal.mouse(), MouseProtocolMode::None);
    terminal.types("m");
    terminal.shows("the mouse scrolls and selects");
    assert_ne!(terminal.mouse(), MouseProtocolMode::None);
    terminal.types("q");
    terminal.shows("as it was");
    assert_eq!(terminal.mouse(), MouseProtocolMode::None);
}

#[test]
fn the_view_is_written_to_a_new_file_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("v.json");
    let name = file.to_str().expect("a path of letters");
    let mut terminal = OnTerminal::run(COMPARED);
    terminal.shows("tcpwatch top");
    terminal.types(&format!("{}w\u{15}{name}\r", ".".repeat(30)));
    terminal.shows("sockets are in");
    let text = std::fs::read_to_string(&file).expect("it was written");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(line["event"], "listed");
        assert!(line["state"].is_string() && line["local"]["port"].is_u64(), "{line}");
    }
    assert!(text.lines().count() > 1, "{text}");
    terminal.types(&format!("w\u{15}{name}\r"));
    terminal.shows("cannot write");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    terminal.types("q");
    terminal.shows("as it was");
}

#[test]
fn ctrl_z_stops_it_with_the_terminal_as_it_was_and_fg_draws_it_again() {
    let mut terminal = OnTerminal::run(
        "set -m; before=$(stty -g); $top; \
         test \"$before\" = \"$(stty -g)\" && echo stopped as it was; read line; fg; \
         test \"$before\" = \"$(stty -g)\" && echo ended as it was; sleep 30",
    );
    terminal.shows("tcpwatch top");
    terminal.types("..\u{1a}");
    terminal.shows("stopped as it was");
    assert!(!terminal.is_alternate());
    terminal.types("\r");
    terminal.shows("REPLAY 2/");
    assert!(terminal.is_alternate());
    terminal.types(".");
    terminal.shows("REPLAY 3/");
    terminal.types("q");
    terminal.shows("ended as it was");
}

#[test]
fn it_ends_when_the_terminal_is_gone_also_below_a_leader_that_ignores_sighup() {
    for before in ["", "trap '' HUP; "] {
        let mut terminal = OnTerminal::run(&format!("{before}exec $top"));
        terminal.shows("tcpwatch top");
        terminal.is_closed();
        terminal.ends();
    }
}

#[test]
fn without_a_terminal_it_names_what_needs_none() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tcpwatch"))
        .args(["top", "--replay", &recording()])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("standard output is none") && error.contains("tcpwatch list"),
        "{error}"
    );
}
