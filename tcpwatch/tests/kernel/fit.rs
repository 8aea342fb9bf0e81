//! The log on a terminal: no line is wider, and a resize takes effect with the next line.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::{
    carried,
    harness::{
        netns::Netns,
        poll,
        sockets::{Pair, V4, V6},
    },
};

const fn size(cols: u16) -> PtySize {
    PtySize { rows: 40, cols, pixel_width: 0, pixel_height: 0 }
}

/// The lines of the log, without messages.
fn lines(text: &str) -> Vec<String> {
    let is_line = |line: &&str| {
        line.starts_with("TIME ")
            || line.starts_with("    ")
            || line.get(2..3) == Some(":") && line.get(5..6) == Some(":")
    };
    text.lines()
        .map(|line| line.trim_end_matches('\r'))
        .filter(is_line)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_log_on_a_terminal_is_as_wide_as_the_terminal_is_from_line_to_line() {
    needs_root!();
    let netns = Netns::new();
    let pair = native_pty_system().openpty(size(80)).unwrap();
    let mut command = CommandBuilder::new(carried::program());
    command.args(["--netns", &netns.word(), "--color", "never"]);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let seen = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&seen);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut bytes) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    });
    let text = || seen.lock().unwrap().clone();
    poll("it has started", || text().contains("Ctrl-C to stop").then_some(()));
    let connect = |address| {
        netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            let pair = Pair::over(&listener);
            let ends = pair.ends();
            pair.close_client_first();
            ends
        })
    };
    let mut begins = 0;
    for cols in [80, 120, 100] {
        pair.master.resize(size(cols)).unwrap();
        for address in [V4, V6] {
            let (client, server) = connect(address);
            // The last line of the client's end.
            let own = if cols < 120 {
                format!(":{}\u{2192}{server}", client.port())
            } else {
                format!("{client}")
            };
            poll("its lines are there", || {
                let text = text();
                let new = text.get(begins..)?;
                let is_last = |line: &&str| line.contains(&own) && line.contains("TIME_WAIT");
                new.lines().find(is_last).map(drop)
            });
        }
        let text = text();
        let new = lines(text.get(begins..).unwrap());
        begins = text.len();
        assert!(new.len() > 20, "{new:#?}");
        for line in &new {
            assert!(line.chars().count() <= usize::from(cols), "{cols}: {line}");
        }
        let titles = if cols < 120 { "TIME       LOCAL  REMOTE" } else { "TIME          LOCAL " };
        assert!(new.iter().any(|line| line.starts_with(titles)), "{cols}: {new:#?}");
        let owner = format!(" {}", std::process::id());
        assert!(new.iter().filter(|line| line.contains(&owner)).count() > 10, "{new:#?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(pair.master);
    reading.join().unwrap();
}
