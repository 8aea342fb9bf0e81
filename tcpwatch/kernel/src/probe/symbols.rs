//! What `/proc/kallsyms` lists: the functions that end mini-sockets, for the call stacks in records,
//! and the two functions that [`super::handlers`] learns elsewhere where it can.
//!
//! A compiler splits, clones and renames functions. What it makes of `f` is called `f.part.0`, `f.cold`,
//! `f.isra.0`, `f.constprop.0`, `f.llvm.123` or several of these one after the other (a name of the
//! sources has no dot), so a function may lie in several ranges.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    thread::{self, JoinHandle},
};

use tcpwatch_core::decode::Symbols;

use super::{
    handlers::{Handlers, KnownBy},
    kallsyms::{Ranges, Symbol, number},
};

/// Where the kernel lists its symbols.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// The handler of a timewait socket's timer.
const TW_TIMER_HANDLER: &str = "tw_timer_handler";
/// The handler of a request socket's timer.
const REQSK_TIMER_HANDLER: &str = "reqsk_timer_handler";

/// Behind it are the kernel's data, half of the list where all of them are in it
/// (`CONFIG_KALLSYMS_ALL`), and the functions of modules.
const END_OF_FUNCTIONS: &[u8] = b"_etext";
/// Of what is looked for, only IPv6 can be in a module; then this is.
const OF_IPV6: &str = "tcp_v6_rcv";
/// The module that it is in.
const IPV6: &[u8] = b"[ipv6]";
/// Every list has it: the function is called through a pointer (`inet_add_protocol`).
const ALWAYS: &str = "tcp_v4_rcv";

/// What is taken from the kernel's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Functions that end mini-sockets.
    pub symbols: Symbols,
    /// Addresses of [`TW_TIMER_HANDLER`] and of [`REQSK_TIMER_HANDLER`].
    handlers: [Vec<u64>; 2],
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
        "{KALLSYMS} lists no function `{0}`; this version of tcpwatch does not know this kernel's"
    )]
    Missing(&'static str),
    /// The kernel has several functions of this name.
    #[error("{KALLSYMS} lists {number} functions `{name}`, and which is meant does not show")]
    Several {
        /// The name.
        name: &'static str,
        /// How many.
        number: usize,
    },
}

/// The kernel's list while it is read, beside the caller if there may be another thread.
pub(super) enum Reading {
    /// Without a thread it is read when it is asked for.
    Underway(Option<JoinHandle<Result<Listed, SymbolsError>>>),
    Done(Symbols),
}

impl Reading {
    pub(super) fn begin() -> Self {
        let read = || Listed::read(Path::new(KALLSYMS));
        Self::Underway(thread::Builder::new().name("kallsyms".to_owned()).spawn(read).ok())
    }

    /// Waits for the list; see [`Listed::handlers`].
    pub(super) fn handlers(&mut self) -> Result<Handlers, SymbolsError> {
        let listed = std::mem::replace(self, Self::Done(Symbols::default())).wait()?;
        let handlers = listed.handlers();
        *self = Self::Done(listed.symbols);
        handlers
    }

    /// Waits for the list.
    pub(super) fn symbols(self) -> Result<Symbols, SymbolsError> {
        self.wait().map(|listed| listed.symbols)
    }

    fn wait(self) -> Result<Listed, SymbolsError> {
        match self {
            Self::Underway(Some(reader)) => {
                reader.join().unwrap_or_else(|_| Err(io::Error::other("its reader panicked"))?)
            }
            Self::Underway(None) => Listed::read(Path::new(KALLSYMS)),
            Self::Done(symbols) => Ok(Listed { symbols, ..Listed::default() }),
        }
    }
}

impl Listed {
    /// Reads the file, which takes some tens of milliseconds.
    ///
    /// # Errors
    /// If it cannot be read, hides its addresses or is not a kernel's.
    pub fn read(path: &Path) -> Result<Self, SymbolsError> {
        let listed = Self::parse(BufReader::with_capacity(1 << 16, File::open(path)?))?;
        let functions = &listed.symbols.functions;
        let addresses = functions.iter().map(|function| function.start);
        if addresses.chain(listed.handlers.iter().flatten().copied()).any(|address| address == 0) {
            return Err(SymbolsError::Hidden);
        }
        if !functions.iter().any(|function| function.name == ALWAYS) {
            return Err(SymbolsError::Missing(ALWAYS));
        }
        Ok(listed)
    }

    fn parse(mut lines: impl io::BufRead) -> io::Result<Self> {
        let mut listed = Self::default();
        let mut kernel = Ranges::of(&Symbols::is_ending);
        let mut module = Vec::new();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            // Nearly all of some 200,000 lines are of no interest.
            if let Some(symbol) = Symbol::of(&line) {
                match symbol.module {
                    // The kernel's own are sorted.
                    None => kernel.next(&symbol),
                    Some(IPV6) => module.extend(symbol.owned()),
                    Some(_) => {}
                }
                if symbol.module.is_none() {
                    listed.note_handler(&symbol);
                }
                if symbol.name == END_OF_FUNCTIONS && kernel.has(OF_IPV6) {
                    break;
                }
            }
            line.clear();
        }
        listed.symbols.functions = kernel.done();
        module.sort_unstable();
        let mut of_module = Ranges::of(&Symbols::is_ending);
        for (address, name) in &module {
            of_module.follow(*address, name.as_bytes());
        }
        listed.symbols.functions.extend(of_module.done());
        Ok(listed)
    }

    /// A handler's address is that of the whole function: a part of it that was split off is never the
    /// one that a timer runs. Link-time optimization of LLVM and GCC renames a function as a whole.
    fn note_handler(&mut self, symbol: &Symbol<'_>) {
        let names = [TW_TIMER_HANDLER, REQSK_TIMER_HANDLER];
        for (name, addresses) in names.iter().zip(&mut self.handlers) {
            if symbol.name == name.as_bytes()
                && symbol.is_whole()
                && let Some(address) = number(symbol.address)
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
    }

    /// The functions that the timers of mini-sockets run.
    ///
    /// # Errors
    /// If one of them is not listed, or there are several of its name.
    pub fn handlers(&self) -> Result<Handlers, SymbolsError> {
        let only = |name, addresses: &[u64]| match addresses {
            [] => Err(SymbolsError::Missing(name)),
            [address] => Ok(*address),
            several => Err(SymbolsError::Several { name, number: several.len() }),
        };
        let [timewait, request] = &self.handlers;
        Ok(Handlers {
            timewait: only(TW_TIMER_HANDLER, timewait)?,
            request: only(REQSK_TIMER_HANDLER, request)?,
            by: KnownBy::Names,
        })
    }
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::event::EarlyEnd;

    use super::*;

    /// From Debian's 7.3.4, whose compiler puts the rarely used ends of functions before all functions.
    const SPLIT: &str = "\
ffffffff8288ed27 t inet_twsk_purge.cold
ffffffff8288ed41 t reqsk_timer_handler.cold
ffffffff8288ed67 t inet_csk_reqsk_queue_hash_add.cold
ffffffff8288fb3a t tcp_v4_rcv.cold
ffffffff8288fbc6 t tcp_time_wait.cold
ffffffff8288fc2c t tcp_check_req.cold
ffffffff8288fca7 t tcp_register_congestion_control.cold
ffffffff835df710 t tw_timer_handler
ffffffff835df730 T __pfx_inet_twsk_deschedule_put
ffffffff835e2170 t reqsk_timer_handler
ffffffff835e2640 T __pfx_inet_csk_reqsk_queue_drop
ffffffff8360e9a0 T tcp_v4_rcv
ffffffff8360fcf0 T __pfx_tcp4_proc_exit
ffffffff8360fd30 T tcp_timewait_state_process
ffffffff83610140 T __pfx_tcp_time_wait
ffffffff83611170 T tcp_check_req
ffffffff83611a50 T __pfx_tcp_child_process
ffffffff837d3f90 T _etext
";

    fn listed(list: &str) -> Listed {
        Listed::parse(list.as_bytes()).unwrap()
    }

    fn end(list: &str, trace: &[u64]) -> Option<EarlyEnd> {
        listed(list).symbols.early_end(trace)
    }

    fn handlers(list: &str) -> Result<(u64, u64), String> {
        let found = listed(list).handlers().map(|found| (found.timewait, found.request));
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn the_part_of_a_handler_that_was_split_off_is_not_the_handler() {
        assert_eq!(handlers(SPLIT), Ok((0xffff_ffff_835d_f710, 0xffff_ffff_835e_2170)));
        for suffix in
            [".part.0", ".isra.0", ".constprop.0", ".isra.0.cold", ".cold.7", ".llvm.99.cold"]
        {
            let list = format!(
                "ffffffff80000000 t tw_timer_handler{suffix}\n\
                 ffffffff80000010 t reqsk_timer_handler{suffix}\n{SPLIT}"
            );
            assert_eq!(handlers(&list), handlers(SPLIT), "{suffix}");
        }
    }

    #[test]
    fn a_handler_that_link_time_optimization_renamed_as_a_whole_is_found() {
        for suffix in [".llvm.8823471109823", ".lto_priv.0"] {
            let list = SPLIT.replace("timer_handler\n", &format!("timer_handler{suffix}\n"));
            assert_eq!(handlers(&list), handlers(SPLIT), "{suffix}");
        }
    }

    #[test]
    fn a_handler_without_a_name_or_with_two_addresses_is_an_error_that_names_it() {
        let inlined = SPLIT.replace("t reqsk_timer_handler\n", "t another\n");
        let error = handlers(&inlined).unwrap_err();
        assert!(error.contains("lists no function `reqsk_timer_handler`"), "{error}");
        let twice = format!("{SPLIT}ffffffff90000000 t tw_timer_handler\n");
        let error = handlers(&twice.replace("T _etext", "T other")).unwrap_err();
        assert!(error.contains("2 functions `tw_timer_handler`"), "{error}");
    }

    #[test]
    fn functions_of_the_same_name_in_modules_are_not_the_kernels() {
        let list = "\
             ffffffff81000000 T tcp_v4_rcv\nffffffff81000100 t next\n\
             ffffffffc0000000 t tw_timer_handler\t[other]\n\
             ffffffffc0000100 t tcp_check_req\t[other]\nffffffffc0000200 t next\t[other]\n";
        assert!(handlers(list).unwrap_err().contains("no function `tw_timer_handler`"));
        assert_eq!(end(list, &[0xffff_ffff_c000_0108]), None);
    }

    #[test]
    fn the_innermost_known_function_tells_what_ended_a_timewait_socket() {
        let unknown = 0xffff_ffff_8361_1a58;
        let (in_process, in_receive) = (0xffff_ffff_8360_fd40, 0xffff_ffff_8360_e9b0);
        let end = |trace: &[u64]| end(SPLIT, trace);
        assert_eq!(end(&[unknown, in_process, in_receive]), Some(EarlyEnd::ResetReceived));
        assert_eq!(end(&[unknown, in_receive, 0]), Some(EarlyEnd::SegmentReceived));
        assert_eq!(end(&[unknown, 0]), None);
    }

    #[test]
    fn every_part_of_a_function_belongs_to_it_and_ends_where_the_next_begins() {
        for (address, expected) in [
            (0xffff_ffff_8288_ed27, Some(EarlyEnd::NetnsGone)),
            (0xffff_ffff_8288_ed40, Some(EarlyEnd::NetnsGone)),
            (0xffff_ffff_8288_ed41, None),
            (0xffff_ffff_8288_fb3a, Some(EarlyEnd::SegmentReceived)),
            (0xffff_ffff_8288_fbc6, None),
            (0xffff_ffff_8288_fc30, Some(EarlyEnd::ResetReceived)),
            (0xffff_ffff_8361_1a4f, Some(EarlyEnd::ResetReceived)),
            (0xffff_ffff_8361_1a50, None),
        ] {
            assert_eq!(end(SPLIT, &[address]), expected, "{address:x}");
        }
    }

    #[test]
    fn two_names_of_one_address_both_have_its_range() {
        let list = "ffffffff81000000 T tcp_abort\nffffffff81000000 T tcp_abort.alias\n\
                    ffffffff81000020 T next\n";
        let functions = listed(list).symbols.functions;
        assert!(functions.iter().all(|function| function.end == 0xffff_ffff_8100_0020));
        assert_eq!(functions.len(), 2);
    }

    #[test]
    fn modules_are_looked_through_only_where_ipv6_is_one_and_are_not_sorted() {
        let list = |built_in: &str, of_module: &str| {
            format!(
                "ffffffff82000000 t {built_in}\nffffffff82001000 T _etext\n\
                 ffffffffc0009000 t far\t[ipv6]\nffffffffc0000000 t {of_module}\t[ipv6]\n\
                 ffffffffc0000800 t other\t[bridge]\nffffffffc0001000 t next\t[ipv6]\n"
            )
        };
        let built_in = list("tcp_v6_rcv", "__inet6_check_established");
        assert_eq!(end(&built_in, &[0xffff_ffff_8200_0fff]), Some(EarlyEnd::SegmentReceived));
        assert_eq!(end(&built_in, &[0xffff_ffff_c000_0008]), None);
        let module = list("tcp_v4_rcv", "tcp_v6_rcv");
        assert_eq!(end(&module, &[0xffff_ffff_c000_0fff]), Some(EarlyEnd::SegmentReceived));
        assert_eq!(end(&module, &[0xffff_ffff_c000_1000]), None);
    }

    #[test]
    fn hidden_addresses_are_an_error_that_says_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0000000000000000 T tcp_v4_rcv\n").unwrap();
        let error = Listed::read(file.path()).unwrap_err();
        assert!(error.to_string().contains("CAP_SYSLOG"), "{error}");
    }

    #[test]
    fn the_running_kernel_has_both_handlers() {
        match Listed::read(Path::new(KALLSYMS)).and_then(|listed| listed.handlers()) {
            Ok(_) | Err(SymbolsError::Hidden) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
