//! The machine as it is comes in, one that can build the kernel side goes out.

mod apt;
mod emulator;
mod install;
mod lint_tools;
mod road;
mod step;
mod unpacked;

pub(crate) use apt::{Package, policy};
pub(crate) use emulator::ensure as ensure_emulator;
pub(crate) use install::{command, ensure, refresh_packages};
pub(crate) use unpacked::{NODE_EXPORTER, PROMETHEUS};
