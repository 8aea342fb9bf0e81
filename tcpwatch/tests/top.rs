//! `tcpwatch top`: recordings and keys become screens, and the terminal is left as it was.
//!
//! `data/top/NAME.screen` is what is on the screen after some keys; `UPDATE_GOLDEN=1 cargo test -p tcpwatch --test
//! top` writes them anew.

#[cfg(test)]
#[macro_use]
#[path = "root/mod.rs"]
mod root;

#[cfg(test)]
mod top {
    mod any_keys;
    mod cost;
    mod findings;
    mod live;
    mod pause;
    mod screens;
    mod shown;
    mod steps;
    mod terminal;
}
