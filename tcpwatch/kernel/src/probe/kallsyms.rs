//! Lines of `/proc/kallsyms` become symbols, and symbols become the ranges of functions.

use tcpwatch_core::decode::Function;

/// Ranges of functions, from symbols in the order of their addresses.
pub(super) struct Ranges<'a> {
    is_wanted: &'a dyn Fn(&[u8]) -> bool,
    found: Vec<Function>,
    /// So many at the end of `found` lack their ends.
    open: usize,
}

impl<'a> Ranges<'a> {
    /// Of the functions with these names.
    pub(super) fn of(is_wanted: &'a dyn Fn(&[u8]) -> bool) -> Self {
        Self { is_wanted, found: Vec::new(), open: 0 }
    }

    /// The next symbol, of which nearly none is of interest.
    pub(super) fn next(&mut self, symbol: &Symbol<'_>) {
        if (self.open > 0 || (self.is_wanted)(symbol.name))
            && let Some(address) = number(symbol.address)
        {
            self.follow(address, symbol.name);
        }
    }

    /// A symbol at this address, which ends the function before it if it is higher.
    pub(super) fn follow(&mut self, address: u64, name: &[u8]) {
        let first_open = self.found.len().saturating_sub(self.open);
        let open = self.found.get_mut(first_open..).unwrap_or_default();
        if open.iter().all(|function| function.start < address) {
            for function in open {
                function.end = address;
            }
            self.open = 0;
        }
        if (self.is_wanted)(name) {
            let name = String::from_utf8_lossy(name).into_owned();
            self.found.push(Function { name, start: address, end: address });
            self.open += 1;
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|function| function.name == name)
    }

    pub(super) fn done(self) -> Vec<Function> {
        self.found
    }
}

/// A line of the list: `ffffffff81000000 t name`, `… name.suffix`, `… name\t[module]`.
pub(super) struct Symbol<'a> {
    pub(super) address: &'a [u8],
    /// As in the sources.
    pub(super) name: &'a [u8],
    /// What the compiler has added, from the first dot on.
    suffix: &'a [u8],
    /// `[ipv6]`; none for the kernel itself.
    pub(super) module: Option<&'a [u8]>,
}

impl<'a> Symbol<'a> {
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (address, rest) = line.split_at_checked(space)?;
        let rest = rest.get(" t ".len()..)?.trim_ascii_end();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (whole, module) = rest.split_at_checked(end)?;
        let dot = whole.iter().position(|byte| *byte == b'.').unwrap_or(whole.len());
        let (name, suffix) = whole.split_at_checked(dot)?;
        let module = Some(module.trim_ascii_start()).filter(|module| !module.is_empty());
        Some(Self { address, name, suffix, module })
    }

    /// Is it a whole function, under the name that link-time optimization of LLVM or GCC gave it, rather
    /// than a part or a changed copy?
    pub(super) fn is_whole(&self) -> bool {
        let is_number = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
        let suffixes = [".llvm.", ".lto_priv."].map(str::as_bytes);
        let mut renamed = suffixes.iter().filter_map(|suffix| self.suffix.strip_prefix(*suffix));
        self.suffix.is_empty() || renamed.any(is_number)
    }

    pub(super) fn owned(&self) -> Option<(u64, String)> {
        Some((number(self.address)?, String::from_utf8_lossy(self.name).into_owned()))
    }
}

pub(super) fn number(hexadecimal: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(hexadecimal).ok()?, 16).ok()
}
