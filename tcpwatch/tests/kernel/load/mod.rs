//! As much as the machine can do, for as long as it takes: a tier of its own, because it takes minutes.

mod clocks;
mod conservation;
mod crowd;
mod half_open;
mod namespaces;
mod output;
mod run;
mod starting;
mod time_wait;
