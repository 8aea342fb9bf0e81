//! The machine as it is comes in, one that can build the kernel side goes out.

mod apt;
mod install;
mod lint_tools;
mod road;
mod step;

pub(crate) use install::{command, ensure};
