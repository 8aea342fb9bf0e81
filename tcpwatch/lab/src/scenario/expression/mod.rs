//! Times and numbers as a scenario writes them: `tcp_fin_timeout`, `60s`, `syn_schedule`.
//!
//! `parse.rs` parses the text into a tree when the file is read; `evaluate.rs` evaluates the tree to a window, a
//! schedule or a number when the sysctls of the host are known.

mod evaluate;
mod parse;

use std::{fmt, time::Duration};

pub use evaluate::{EvaluateError, EvaluationContext, FirstRto};

/// An expression and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    text: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Number(u64),
    Time(Duration),
    /// A sysctl, or one of [`NAMES`].
    Name(String),
    /// One of [`FUNCTIONS`].
    Call(String, Vec<Node>),
    Pair(Box<Node>, Operator, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Names that are not sysctls.
pub(crate) const NAMES: [&str; 7] = [
    "any",
    "at_once",
    "orphan_schedule",
    "retries2_schedule",
    "rto",
    "syn_ack_schedule",
    "syn_schedule",
];
/// Functions.
pub(crate) const FUNCTIONS: [&str; 7] =
    ["fin_wait_2", "max", "min", "syn_user_timeout", "timer", "user_timeout", "waits"];

impl Expression {
    /// Parses an expression; the error gives what is wrong and what to do.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The sysctls on which it depends, each once.
    #[must_use]
    pub fn sysctls(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        self.root.visit(&mut |name| {
            let decisive: &[&str] = match name {
                "syn_schedule" => &["tcp_syn_retries", "tcp_syn_linear_timeouts"],
                "syn_ack_schedule" => &["tcp_synack_retries"],
                "orphan_schedule" => &["tcp_orphan_retries"],
                "retries2_schedule" => &["tcp_retries2"],
                _ if is_sysctl(name) => &[name],
                _ => &[],
            };
            for name in decisive {
                if !found.contains(name) {
                    found.push(name);
                }
            }
        });
        found
    }

    /// Whether it depends on the retransmission timeout of the connection.
    #[must_use]
    pub fn needs_rto(&self) -> bool {
        let mut needs = false;
        self.root.visit(&mut |name| {
            needs |=
                matches!(name, "rto" | "orphan_schedule" | "retries2_schedule" | "user_timeout");
        });
        needs
    }
}

impl Node {
    /// Calls `see` with every name in it.
    fn visit<'e>(&'e self, see: &mut impl FnMut(&'e str)) {
        match self {
            Self::Number(_) | Self::Time(_) => {}
            Self::Name(name) => see(name),
            Self::Call(name, arguments) => {
                see(name);
                for argument in arguments {
                    argument.visit(see);
                }
            }
            Self::Pair(left, _, right) => {
                left.visit(see);
                right.visit(see);
            }
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    name.starts_with("tcp_")
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A text that is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {fix}")]
pub struct ParseError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}
