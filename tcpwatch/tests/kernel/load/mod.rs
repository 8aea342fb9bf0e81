//! Full load for minutes: therefore a tier of its own.

mod clocks;
mod conservation;
mod crowd;
mod half_open;
mod namespaces;
mod output;
mod run;
mod starting;
mod time_wait;
