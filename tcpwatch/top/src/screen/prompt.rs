//! The line that is being typed: a filter, a moment, or the name of a file.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tcpwatch_core::event::KernelTime;

use super::{Origin, ReplayStep, Screen, ScreenPage, Wish};
use crate::filter::Filter;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// A filter.
    Filter,
    /// A moment of a recording.
    Moment,
    /// A file to write.
    File,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What it is.
    pub kind: PromptKind,
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The filter that was there before.
    before: String,
}

impl Screen {
    pub(super) fn ask(&mut self, kind: PromptKind, text: String) {
        let before = self.filter.clone();
        self.prompt = Some(Prompt { kind, text, error: None, before });
        if self.page != ScreenPage::Owners {
            self.page = ScreenPage::Table;
        }
    }

    /// Takes a filter, unless something is wrong with it.
    ///
    /// # Errors
    /// Says what.
    pub fn filter_by(&mut self, text: &str) -> Result<(), String> {
        let words = self.origin.words;
        Filter::parse(text, words)?;
        self.each_order(|order, sockets| {
            order.filter(Filter::parse(text, words).unwrap_or_default(), sockets);
        });
        text.trim().clone_into(&mut self.filter);
        self.owner = 0;
        Ok(())
    }

    pub(super) fn type_in(&mut self, event: &KeyEvent) -> Option<Wish> {
        let prompt = self.prompt.as_mut()?;
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('c') if control => return Some(Wish::Quit { keep: false }),
            KeyCode::Char('u') if control => prompt.text.clear(),
            KeyCode::Char(c) if !control && prompt.text.len() < 512 => prompt.text.push(c),
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Esc => {
                let prompt = self.prompt.take()?;
                if prompt.kind == PromptKind::Filter {
                    self.filter_by(&prompt.before).unwrap_or_default();
                }
                return None;
            }
            KeyCode::Enter => return self.entered(),
            _ => return None,
        }
        let (kind, text) = (prompt.kind, prompt.text.clone());
        let error = if kind == PromptKind::Filter { self.filter_by(&text).err() } else { None };
        if let Some(prompt) = &mut self.prompt {
            prompt.error = error;
        }
        None
    }

    fn entered(&mut self) -> Option<Wish> {
        let prompt = self.prompt.take()?;
        let text = prompt.text.trim();
        let wish = match prompt.kind {
            PromptKind::Filter => self.filter_by(text).map(|()| None),
            PromptKind::Moment => self.moment(text).map(|at| Some(Wish::Step(ReplayStep::To(at)))),
            PromptKind::File if text.is_empty() => Err("a name is needed".to_owned()),
            PromptKind::File => Ok(Some(Wish::Write(text.into()))),
        };
        wish.unwrap_or_else(|error| {
            self.prompt = Some(Prompt { error: Some(error), ..prompt });
            None
        })
    }

    /// A time of day, or a duration from now on.
    fn moment(&self, text: &str) -> Result<KernelTime, String> {
        let now = self.live.sockets.now;
        let text = text.trim();
        if let Some(back) = text.strip_prefix('-') {
            return Ok(now.before(crate::filter::duration(back)?));
        }
        if let Some(on) = text.strip_prefix('+') {
            return Ok(now.after(crate::filter::duration(on)?));
        }
        let Origin { clock, times, .. } = &self.origin;
        let unix_ns = times.parse(text, clock.unix_ns(now));
        let unix_ns = unix_ns.map_err(|error| format!("\"{text}\" is {error}, +1m30s or -5s"))?;
        let away = unix_ns.saturating_sub(clock.unix_ns(now));
        let distance = Duration::from_nanos(away.unsigned_abs());
        Ok(if away < 0 { now.before(distance) } else { now.after(distance) })
    }
}
