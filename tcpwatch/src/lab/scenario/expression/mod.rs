//! Times and numbers as a scenario writes them: `tcp_fin_timeout`, `60s`, `syn_schedule`.
//!
//! Text becomes a tree when the file is read (`parse.rs`); the tree becomes a window, a schedule or a
//! number when the sysctls of the host are known (`evaluate.rs`).

mod evaluate;
mod parse;

use std::{fmt, time::Duration};

pub use evaluate::{Context, EvaluateError, FirstRto};

/// An expression and the text it was read from.
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

/// Names that are no sysctls.
pub(super) const NAMES: [&str; 7] = [
    "any",
    "at_once",
    "orphan_schedule",
    "retries2_schedule",
    "rto",
    "syn_ack_schedule",
    "syn_schedule",
];
/// What can be called.
pub(super) const FUNCTIONS: [&str; 7] =
    ["fin_wait_2", "max", "min", "syn_user_timeout", "timer", "user_timeout", "waits"];

impl Expression {
    /// Reads an expression; the error says what is wrong and what to do.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The sysctls it names, each once.
    #[must_use]
    pub fn sysctls(&self) -> Vec<&str> {
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found
    }
}

fn collect<'e>(node: &'e Node, found: &mut Vec<&'e str>) {
    match node {
        Node::Name(name) if is_sysctl(name) && !found.contains(&name.as_str()) => found.push(name),
        Node::Call(_, arguments) => {
            for argument in arguments {
                collect(argument, found);
            }
        }
        Node::Pair(left, _, right) => {
            collect(left, found);
            collect(right, found);
        }
        Node::Number(_) | Node::Time(_) | Node::Name(_) => {}
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

/// A text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {fix}")]
pub struct ParseError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}
