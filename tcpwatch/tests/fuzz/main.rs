//! Made-up and spoiled input for everything that reads what others wrote: nothing panics, hangs, or
//! takes memory beyond bounds, and whatever is refused is refused in words. Needs no privilege.
//!
//! As they are, each test tries some hundred inputs. For a night's run, with every overflow seen:
//! `PROPTEST_CASES=1000000 cargo test -p tcpwatch --profile checked --test fuzz`; a name after `--` chooses
//! one test.

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
