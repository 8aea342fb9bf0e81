//! Takes a table of the file key by key; an error for keys that are left over.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use tcpwatch_core::event::TcpState;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::source::{FileError, Source};
use crate::{
    host::Host,
    nearest::advice,
    scenario::expression::{EvaluationContext, Expression},
};

/// A table and its remaining keys.
pub(super) struct TomlFields<'t> {
    pub(super) source: Source<'t>,
    /// The table's place in the file.
    pub(super) span: Range<usize>,
    left: BTreeMap<&'t str, TomlItem<'t>>,
    /// The keys that were requested so far, which are all known ones.
    known: Vec<&'static str>,
}

/// A key and its value.
#[derive(Clone)]
pub(super) struct TomlItem<'t> {
    source: Source<'t>,
    pub(super) key: &'t str,
    pub(super) key_span: Range<usize>,
    pub(super) value: &'t Spanned<DeValue<'t>>,
}

impl<'t> TomlFields<'t> {
    pub(super) fn new(source: Source<'t>, table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        let left = table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                (name, TomlItem { source, key: name, key_span: key.span(), value })
            })
            .collect();
        Self { source, span, left, known: Vec::new() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<TomlItem<'t>> {
        self.known.push(key);
        self.left.remove(key)
    }

    /// The remaining items, whatever their keys.
    pub(super) fn take_rest(&mut self) -> Vec<TomlItem<'t>> {
        std::mem::take(&mut self.left).into_values().collect()
    }

    pub(super) fn need(&mut self, key: &'static str, why: &str) -> Result<TomlItem<'t>, FileError> {
        let (source, span) = (self.source, self.span.clone());
        self.take(key).ok_or_else(|| source.error(span, key, "is missing", why))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<&'t str>, FileError> {
        self.take(key).map(|item| item.text()).transpose()
    }

    /// A name, or the default.
    pub(super) fn name(&mut self, key: &'static str, usual: &str) -> Result<String, FileError> {
        let Some(item) = self.take(key) else { return Ok(usual.to_owned()) };
        let name = item.text()?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(item.error("is not a name", "write a word, for example \"connection\""));
        }
        Ok(name.to_owned())
    }

    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        allowed: Range<i64>,
    ) -> Result<Option<T>, FileError> {
        self.take(key).map(|item| item.number(allowed)).transpose()
    }

    pub(super) fn expression(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(TomlItem<'t>, Expression)>, FileError> {
        let Some(item) = self.take(key) else { return Ok(None) };
        let expression = item.expression()?;
        Ok(Some((item, expression)))
    }

    /// A constant time, independent of sysctls.
    pub(super) fn time(
        &mut self,
        key: &'static str,
        context: &EvaluationContext<'_>,
    ) -> Result<Option<Duration>, FileError> {
        let Some((item, expression)) = self.expression(key)? else { return Ok(None) };
        let window = expression.window(context);
        window
            .map(|window| Some(window.promise))
            .map_err(|error| item.error(error.to_string(), "write a time, for example \"2s\""))
    }

    /// An error if a key is left over.
    pub(super) fn finish(self) -> Result<(), FileError> {
        let first = self.left.values().min_by_key(|item| item.key_span.start);
        first.map_or(Ok(()), |item| {
            let fix = advice(item.key, &self.known);
            Err(self.source.error(item.key_span.clone(), item.key, "is not known here", fix))
        })
    }
}

impl<'t> TomlItem<'t> {
    pub(super) fn error(&self, problem: impl Into<String>, fix: impl Into<String>) -> FileError {
        self.source.error(self.value.span(), self.key, problem, fix)
    }

    /// A text without control characters, which can be shown on a terminal.
    pub(super) fn text(&self) -> Result<&'t str, FileError> {
        let text = self.value.get_ref().as_str();
        let text =
            text.ok_or_else(|| self.error(self.is_not("a text"), "put it into quotation marks"))?;
        match text.chars().find(|c| c.is_control() && *c != '\n') {
            None => Ok(text),
            Some(control) => {
                let problem = format!("has the control character {}", control.escape_unicode());
                Err(self.error(problem, "leave it out"))
            }
        }
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, allowed: Range<i64>) -> Result<T, FileError> {
        let integer = self.value.get_ref().as_integer();
        let number = integer.and_then(|it| i64::from_str_radix(it.as_str(), it.radix()).ok());
        let number = number.filter(|number| allowed.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let fix = format!("write a whole number from {} to {}", allowed.start, allowed.end - 1);
            self.error("is not a valid number here", fix)
        })
    }

    pub(super) fn boolean(&self) -> Result<bool, FileError> {
        let truth = self.value.get_ref().as_bool();
        truth.ok_or_else(|| self.error(self.is_not("true or false"), "write `true` or `false`"))
    }

    /// A table, as its fields.
    pub(super) fn fields(&self) -> Result<TomlFields<'t>, FileError> {
        let table = self.value.get_ref().as_table();
        let table = table.ok_or_else(|| {
            self.error(self.is_not("a table"), "write `{ key = value, … }`, or a section `[…]`")
        })?;
        Ok(TomlFields::new(self.source, table, self.value.span()))
    }

    /// The elements of an array, each with the array's key.
    pub(super) fn elements(&self) -> Result<impl Iterator<Item = Self> + use<'t>, FileError> {
        let array = self.value.get_ref().as_array();
        let array = array.ok_or_else(|| self.error(self.is_not("an array"), "write `[ …, … ]`"))?;
        let (source, key, key_span) = (self.source, self.key, self.key_span.clone());
        Ok(array.iter().map(move |value| Self { source, key, key_span: key_span.clone(), value }))
    }

    pub(super) fn expression(&self) -> Result<Expression, FileError> {
        let number = self.value.get_ref().as_integer().map(|integer| integer.as_str().to_owned());
        let text = number.map_or_else(|| self.text().map(str::to_owned), Ok)?;
        Expression::parse(&text).map_err(|error| self.error(error.problem, error.fix))
    }

    pub(super) fn state(&self) -> Result<TcpState, FileError> {
        let word = self.text()?;
        let known = word.parse().ok().filter(|state: &TcpState| state.name().is_some());
        known.ok_or_else(|| {
            let names: Vec<_> = TcpState::ALL.iter().filter_map(|state| state.name()).collect();
            let fix = advice(word, &names);
            self.error(format!("\"{}\" is not a TCP state", word.escape_debug()), fix)
        })
    }

    pub(super) fn host(&self) -> Result<Host, FileError> {
        self.word(Host::ALL.map(|host| (host.name(), host)))
    }

    /// One of the given words.
    pub(super) fn word<T>(
        &self,
        known: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Result<T, FileError> {
        let word = self.text()?;
        let mut names = Vec::new();
        for (name, meaning) in known {
            if name == word {
                return Ok(meaning);
            }
            names.push(name);
        }
        let fix = advice(word, &names);
        Err(self.error(format!("\"{}\" is not known here", word.escape_debug()), fix))
    }

    fn is_not(&self, wanted: &str) -> String {
        format!("is {}, not {wanted}", self.value.get_ref().type_str())
    }
}
