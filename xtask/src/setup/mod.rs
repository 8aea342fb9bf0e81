//! The machine as it is comes in, one that can build the kernel side goes out.

mod apt;
mod emulator;
mod install;
mod lint_tools;
mod prometheus;
mod road;
mod step;

pub(crate) use apt::{Package, policy};
pub(crate) use emulator::ensure as ensure_emulator;
pub(crate) use install::{command, ensure, refresh_packages};
pub(crate) use prometheus::ensure as ensure_prometheus;
