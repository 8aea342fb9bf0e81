//! Prepares a machine to build the kernel side.

mod apt;
mod install;
mod lint_tools;
mod road;
mod step;

pub(crate) use install::{command, ensure};
