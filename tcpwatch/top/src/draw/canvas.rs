//! Text at a place in the buffer, cut at the edge.

use ratatui_core::{buffer::Buffer, layout::Rect, style::Style};

/// A buffer to be written to.
pub(super) struct Canvas<'b> {
    buffer: &'b mut Buffer,
}

impl<'b> Canvas<'b> {
    pub(super) const fn new(buffer: &'b mut Buffer) -> Self {
        Self { buffer }
    }

    /// Writes text from a place to the edge; returns the column behind it.
    pub(super) fn put(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        self.put_within(x, y, text, u16::MAX, style)
    }

    /// Writes text in at most so many columns; returns the column behind it.
    pub(super) fn put_within(
        &mut self,
        x: u16,
        y: u16,
        text: &str,
        most: u16,
        style: Style,
    ) -> u16 {
        let area = self.buffer.area;
        if x >= area.width || y >= area.height {
            return x;
        }
        self.buffer.set_stringn(x, y, text, most.into(), style).0
    }

    /// Writes text that ends before a column.
    pub(super) fn put_right(&mut self, end: u16, y: u16, text: &str, style: Style) {
        let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        self.put(end.saturating_sub(width), y, text, style);
    }

    /// The same character in rows one below the other.
    pub(super) fn column(&mut self, x: u16, y: u16, rows: u16, symbol: &str, style: Style) {
        for row in y..y.saturating_add(rows) {
            self.put(x, row, symbol, style);
        }
    }

    /// The same character in the columns of a row.
    pub(super) fn row(&mut self, y: u16, width: u16, symbol: &str, style: Style) {
        for x in 0..width {
            self.put(x, y, symbol, style);
        }
    }

    /// Gives a part of a row a style.
    pub(super) fn paint(&mut self, x: u16, y: u16, width: u16, style: Style) {
        self.buffer.set_style(Rect { x, y, width, height: 1 }, style);
    }
}
