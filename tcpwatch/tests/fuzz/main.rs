//! Generated and corrupted input for everything that reads foreign data: nothing panics, hangs, or uses unbounded
//! memory, and whatever is refused has an error message. Needs no privilege.
//!
//! By default, each test tries some hundred inputs. For a long run, with overflow checks: `PROPTEST_CASES=1000000 cargo
//! test -p tcpwatch --profile checked --test fuzz`; a name after `--` selects one test.

#[cfg(test)]
mod blocks;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod kernel_files;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod players;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod records;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod spoiled;
