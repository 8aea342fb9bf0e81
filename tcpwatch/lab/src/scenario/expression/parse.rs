//! Parses numbers, times, names, calls and the four operations, by precedence climbing.

use std::{iter::Peekable, str::CharIndices, time::Duration};

use super::{FUNCTIONS, NAMES, Node, Operator, ParseError, is_sysctl};
use crate::nearest::advice;

/// Maximal nesting of parentheses and calls.
const DEEPEST: u32 = 16;

/// Maximal length in bytes: the tree of a chain of operations is as deep as the chain is long.
const LONGEST: usize = 1000;

struct Parser<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    depth: u32,
}

pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    if text.len() > LONGEST {
        let problem = format!("an expression of {} bytes is too long", text.len());
        return Err(error(problem, "simplify it"));
    }
    let mut parser = Parser { text, rest: text.char_indices().peekable(), depth: 0 };
    let node = parser.sum(0)?;
    match parser.next_char() {
        None => Ok(node),
        Some(found) => Err(parser.wrong(found)),
    }
}

impl<'t> Parser<'t> {
    /// The next character that is not a blank, without taking it.
    fn next_char(&mut self) -> Option<char> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        self.rest.peek().map(|(_, c)| *c)
    }

    fn take_if(&mut self, wanted: char) -> bool {
        self.next_char() == Some(wanted) && self.rest.next().is_some()
    }

    /// Operands joined by operators of at least this precedence.
    fn sum(&mut self, binding: u8) -> Result<Node, ParseError> {
        let mut left = self.operand()?;
        loop {
            let (operator, tightness) = match self.next_char() {
                Some('+') => (Operator::Add, 1),
                Some('-') => (Operator::Subtract, 1),
                Some('*') => (Operator::Multiply, 2),
                Some('/') => (Operator::Divide, 2),
                _ => return Ok(left),
            };
            if tightness <= binding {
                return Ok(left);
            }
            self.rest.next();
            left = Node::Pair(Box::new(left), operator, Box::new(self.sum(tightness)?));
        }
    }

    fn operand(&mut self) -> Result<Node, ParseError> {
        match self.next_char() {
            Some('(') => {
                self.rest.next();
                let inner = self.deeper(|parser| parser.sum(0))?;
                if self.take_if(')') { Ok(inner) } else { Err(self.missing("`)`")) }
            }
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.name(),
            Some(found) => Err(self.wrong(found)),
            None => Err(self.missing("a time, a number or a name")),
        }
    }

    fn number(&mut self) -> Result<Node, ParseError> {
        let digits = self.word(|c| c.is_ascii_digit() || c == '.');
        self.next_char();
        let unit = self.word(|c| c.is_ascii_alphabetic());
        let seconds = match unit {
            "" => {
                return digits.parse().map(Node::Number).map_err(|why| {
                    let problem = format!("`{digits}` is not a whole number: {why}");
                    error(problem, "write a number, or a time such as `1.5s`")
                });
            }
            "us" => 0.000_001,
            "ms" => 0.001,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(error(
                    format!("`{unit}` is not a unit of time"),
                    &advice(unit, &["us", "ms", "s", "min", "h"]),
                ));
            }
        };
        let time = digits.parse::<f64>().ok();
        let time = time.and_then(|number| Duration::try_from_secs_f64(number * seconds).ok());
        time.map(Node::Time).ok_or_else(|| {
            error(format!("`{digits}{unit}` is not a time"), "write for example `60s` or `1.5s`")
        })
    }

    fn name(&mut self) -> Result<Node, ParseError> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        if !self.take_if('(') {
            let known = NAMES.contains(&name.as_str()) || is_sysctl(&name);
            return known
                .then(|| Node::Name(name.clone()))
                .ok_or_else(|| error(format!("`{name}` is not known"), &advice(&name, &NAMES)));
        }
        if !FUNCTIONS.contains(&name.as_str()) {
            return Err(error(format!("`{name}` cannot be called"), &advice(&name, &FUNCTIONS)));
        }
        let mut arguments = Vec::new();
        while !self.take_if(')') {
            if !arguments.is_empty() && !self.take_if(',') {
                return Err(self.missing("`,` or `)`"));
            }
            arguments.push(self.deeper(|parser| parser.sum(0))?);
        }
        Ok(Node::Call(name, arguments))
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == DEEPEST {
            return Err(error("parentheses are nested too deeply".into(), "simplify it"));
        }
        self.depth += 1;
        let inner = inner(self);
        self.depth -= 1;
        inner
    }

    /// The following characters as long as `belongs` is true.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let start = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        while self.rest.next_if(|(_, c)| belongs(*c)).is_some() {}
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(start..end).unwrap_or_default()
    }

    fn wrong(&self, found: char) -> ParseError {
        error(
            format!("`{found}` is not expected here in `{}`", self.text),
            "times, numbers, names, `+ - * /` and parentheses make an expression",
        )
    }

    fn missing(&self, what: &str) -> ParseError {
        error(format!("`{}` is not complete", self.text), &format!("{what} is missing"))
    }
}

fn error(problem: String, fix: &str) -> ParseError {
    ParseError { problem, fix: fix.to_owned() }
}
