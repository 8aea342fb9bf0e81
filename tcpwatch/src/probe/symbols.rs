//! Addresses of kernel functions, from `/proc/kallsyms`: the handlers that tell a mini-socket's
//! timer from all others, and the functions that end mini-sockets.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    thread,
};

use serde::{Deserialize, Serialize};

use tcpwatch_common::Ending;

use crate::event::EarlyEnd;

/// Where the kernel lists its symbols.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// The handler of a timewait socket's timer.
pub const TW_TIMER_HANDLER: &str = "tw_timer_handler";
/// The handler of a request socket's timer.
pub const REQSK_TIMER_HANDLER: &str = "reqsk_timer_handler";

/// Functions from which a mini-socket is ended before its time, and what that means. Read in
/// `net/ipv4/tcp_minisocks.c`, `tcp_ipv4.c`, `inet_hashtables.c`, `inet_timewait_sock.c`,
/// `inet_connection_sock.c`, `tcp.c`.
const ENDING: [(&str, EarlyEnd); 14] = [
    ("inet_csk_complete_hashdance", EarlyEnd::Accepted),
    ("tcp_check_req", EarlyEnd::ResetReceived),
    ("tcp_timewait_state_process", EarlyEnd::ResetReceived),
    ("tcp_v4_rcv", EarlyEnd::SegmentReceived),
    ("tcp_v6_rcv", EarlyEnd::SegmentReceived),
    ("tcp_req_err", EarlyEnd::Unreachable),
    ("tcp_v4_err", EarlyEnd::Unreachable),
    ("tcp_v6_err", EarlyEnd::Unreachable),
    ("__inet_check_established", EarlyEnd::Connect),
    ("__inet6_check_established", EarlyEnd::Connect),
    ("__inet_hash_connect", EarlyEnd::Connect),
    ("tcp_abort", EarlyEnd::Killed),
    ("inet_twsk_purge", EarlyEnd::NetnsGone),
    ("tcp_twsk_purge", EarlyEnd::NetnsGone),
];

/// Behind it are the kernel's data, half of the list where all of them are in it
/// (`CONFIG_KALLSYMS_ALL`), and the functions of modules.
const END_OF_FUNCTIONS: &[u8] = b"_etext";
/// Of what is looked for, only IPv6 can be in a module; then this is.
const OF_IPV6: &str = "tcp_v6_rcv";

/// A function's place in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Function {
    name: String,
    start: u64,
    end: u64,
}

/// The functions that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    functions: Vec<Function>,
}

/// The addresses cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    /// The file cannot be read.
    #[error("cannot read {KALLSYMS}: {0}; the kernel must be built with CONFIG_KALLSYMS=y")]
    Read(#[from] io::Error),
    /// The file shows zeros instead of addresses.
    #[error(
        "{KALLSYMS} hides its addresses; run with CAP_SYSLOG (sudo has it) and \
         kernel.kptr_restrict below 2"
    )]
    Hidden,
    /// The kernel has no such function.
    #[error(
        "{KALLSYMS} lists no function `{0}`, by which their timers are known; this version of \
         tcpwatch cannot see them on this kernel"
    )]
    Missing(&'static str),
}

impl Symbols {
    /// Begins to read the kernel's list, beside the caller if there may be another thread; what is
    /// returned waits for the end.
    pub(super) fn begin() -> impl FnOnce() -> Result<Self, SymbolsError> {
        let read = || Self::read(Path::new(KALLSYMS));
        let reader = thread::Builder::new().name("kallsyms".to_owned()).spawn(read);
        move || match reader {
            Ok(reader) => reader.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))?),
            Err(_) => read(),
        }
    }

    /// Reads the file, which takes some tens of milliseconds.
    ///
    /// # Errors
    /// If it cannot be read, hides its addresses or lacks a handler.
    pub fn read(path: &Path) -> Result<Self, SymbolsError> {
        let symbols = Self::parse(BufReader::with_capacity(1 << 16, File::open(path)?))?;
        if symbols.functions.iter().any(|function| function.start == 0) {
            return Err(SymbolsError::Hidden);
        }
        for handler in [TW_TIMER_HANDLER, REQSK_TIMER_HANDLER] {
            symbols.address(handler).ok_or(SymbolsError::Missing(handler))?;
        }
        Ok(symbols)
    }

    fn parse(mut lines: impl io::BufRead) -> io::Result<Self> {
        let mut functions: Vec<Function> = Vec::new();
        let mut open = false;
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let found = split(&line);
            // Nearly all of some 200,000 lines are of no interest.
            if let Some((address, name)) = found
                && (open || is_wanted(name))
                && let Some(address) = number(address)
            {
                // The kernel's own symbols are sorted, so the next higher one ends a function.
                if open
                    && let Some(last) = functions.last_mut()
                    && address > last.start
                {
                    last.end = address;
                    open = false;
                }
                if is_wanted(name) {
                    let name = String::from_utf8_lossy(name).into_owned();
                    functions.push(Function { name, start: address, end: address });
                    open = true;
                }
            }
            if found.is_some_and(|(_, name)| name == END_OF_FUNCTIONS)
                && functions.iter().any(|function| function.name == OF_IPV6)
            {
                break;
            }
            line.clear();
        }
        Ok(Self { functions })
    }

    /// The address of a function.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.functions.iter().find(|function| function.name == name).map(|found| found.start)
    }

    /// Where the functions lie that end mini-sockets, and what they mean.
    pub(super) fn endings(&self) -> impl Iterator<Item = Ending> + '_ {
        self.functions.iter().filter_map(|function| {
            let (_, end) = ENDING.iter().find(|(name, _)| *name == function.name)?;
            #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
            let what = *end as u64;
            Some(Ending { start: function.start, end: function.end, what })
        })
    }

    /// What ended a mini-socket, from the functions that were under way, innermost first.
    #[must_use]
    pub fn early_end(&self, trace: &[u64]) -> Option<EarlyEnd> {
        trace.iter().find_map(|address| {
            let function = self
                .functions
                .iter()
                .find(|function| (function.start..function.end).contains(address))?;
            ENDING.iter().find(|(name, _)| *name == function.name).map(|(_, end)| *end)
        })
    }
}

/// Address and name of a line like `ffffffff81000000 t name` or `… name\t[module]`; a compiler's
/// suffix (`name.llvm.123`) is left out.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (address, rest) = line.split_at_checked(space)?;
    let name = rest.get(" t ".len()..)?;
    let is_end = |byte: &u8| *byte == b'.' || byte.is_ascii_whitespace();
    let end = name.iter().position(is_end).unwrap_or(name.len());
    Some((address, name.get(..end)?))
}

fn number(hexadecimal: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(hexadecimal).ok()?, 16).ok()
}

fn is_wanted(name: &[u8]) -> bool {
    // Nearly every line fails at the first byte.
    matches!(name.first(), Some(b't' | b'r' | b'i' | b'_'))
        && (name == TW_TIMER_HANDLER.as_bytes()
            || name == REQSK_TIMER_HANDLER.as_bytes()
            || ENDING.iter().any(|(ending, _)| ending.as_bytes() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
ffffffff82008900 t tw_timer_handler
ffffffff82008a20 T inet_twsk_deschedule_put
ffffffff8200af30 t reqsk_timer_handler
ffffffff8200dda0 T tcp_abort.llvm.4711
ffffffff8200ddf0 T next_function
ffffffff82035b40 T tcp_v4_rcv
ffffffff820379a0 T tcp_timewait_state_process
ffffffff820382a0 T tcp_check_req
ffffffffc0000000 t other [module]
";

    fn symbols() -> Symbols {
        Symbols::parse(FILE.as_bytes()).unwrap()
    }

    #[test]
    fn handlers_are_found_by_name() {
        assert_eq!(symbols().address(TW_TIMER_HANDLER), Some(0xffff_ffff_8200_8900));
        assert_eq!(symbols().address("absent"), None);
    }

    #[test]
    fn the_innermost_known_function_tells_what_ended_a_timewait_socket() {
        let unknown = 0xffff_ffff_8200_8a30;
        let (in_process, in_receive) = (0xffff_ffff_8203_79b0, 0xffff_ffff_8203_5c00);
        let end = |trace: &[u64]| symbols().early_end(trace);
        assert_eq!(end(&[unknown, in_process, in_receive]), Some(EarlyEnd::ResetReceived));
        assert_eq!(end(&[unknown, in_receive, 0]), Some(EarlyEnd::SegmentReceived));
        assert_eq!(end(&[unknown, 0]), None);
    }

    #[test]
    fn a_suffix_of_the_compiler_does_not_hide_a_function() {
        assert_eq!(symbols().early_end(&[0xffff_ffff_8200_dda8]), Some(EarlyEnd::Killed));
        assert_eq!(symbols().early_end(&[0xffff_ffff_8200_ddf0]), None, "its end is known");
    }

    #[test]
    fn modules_are_looked_through_only_where_ipv6_is_one() {
        let parse = |built_in: &str, of_module: &str| {
            let list = format!(
                "ffffffff82000000 t {built_in}\nffffffff82001000 T _etext\n\
                 ffffffffc0000000 t {of_module}\t[ipv6]\nffffffffc0001000 t other\t[ipv6]\n"
            );
            Symbols::parse(list.as_bytes()).unwrap()
        };
        let built_in = parse("tcp_v6_rcv", "__inet6_check_established");
        assert_eq!(built_in.early_end(&[0xffff_ffff_8200_0fff]), Some(EarlyEnd::SegmentReceived));
        assert_eq!(built_in.address("__inet6_check_established"), None);
        let module = parse("tcp_v4_rcv", "tcp_v6_rcv");
        assert_eq!(module.early_end(&[0xffff_ffff_c000_0008]), Some(EarlyEnd::SegmentReceived));
    }

    #[test]
    fn hidden_addresses_are_an_error_that_says_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0000000000000000 t tw_timer_handler\n").unwrap();
        let error = Symbols::read(file.path()).unwrap_err();
        assert!(error.to_string().contains("CAP_SYSLOG"), "{error}");
    }

    #[test]
    fn the_running_kernel_has_both_handlers() {
        match Symbols::read(Path::new(KALLSYMS)) {
            Ok(_) | Err(SymbolsError::Hidden) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
