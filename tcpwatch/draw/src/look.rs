//! How a picture is embedded.

use tcpwatch_lab::language::Language;

use crate::{sequence::STYLE, words::PageWords};

/// What a picture depends on besides the run.
#[derive(Clone, Copy)]
pub(crate) struct PictureLook<'a> {
    /// Makes its ids unique.
    pub(crate) id: &'a str,
    /// Its own style; `None` on a page, which has the style.
    pub(crate) style: Option<&'static str>,
    pub(crate) words: &'static PageWords,
}

impl PictureLook<'_> {
    /// Of a picture that is a file of its own.
    pub(crate) fn of_file(language: Language) -> Self {
        Self { id: "run", style: Some(STYLE), words: PageWords::of(language) }
    }
}
