//! Writes tables as aligned text or as Markdown.

/// A heading and rows of the same width; the first column is text, all others are numbers.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

/// The output format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellForm {
    Plain,
    Markdown,
}

impl CellForm {
    /// A heading above tables.
    pub(crate) fn title(self, text: &str) -> String {
        match self {
            Self::Plain => format!("{}\n{}", text.to_uppercase(), "=".repeat(text.chars().count())),
            Self::Markdown => format!("### {text}"),
        }
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<T: ToString>(heading: &[T]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table, with a line feed at the end of every line.
    pub(crate) fn text(&self, form: CellForm) -> String {
        let widths = self.widths();
        let (left, between, right) = match form {
            CellForm::Plain => ("", "  ", ""),
            CellForm::Markdown => ("| ", " | ", " |"),
        };
        let line = |cells: &Vec<String>| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("{left}{}{right}\n", padded.collect::<Vec<_>>().join(between))
        };
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        if form == CellForm::Markdown {
            lines.insert(1, rule(&widths));
        }
        lines.concat()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row: &Vec<String>| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// The line below the heading, which in Markdown sets the alignment of the columns.
fn rule(widths: &[usize]) -> String {
    let column = |(index, width): (usize, &usize)| {
        let dashes = "-".repeat(width.saturating_sub(1));
        if index == 0 { format!(":{dashes}") } else { format!("{dashes}:") }
    };
    let columns = widths.iter().enumerate().map(column).collect::<Vec<_>>();
    format!("| {} |\n", columns.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["case", "us"]);
        table.push(vec!["nothing".into(), "7.4".into()]);
        table.push(vec!["b".into(), "10.25".into()]);
        table
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        let expected = "case        us\nnothing    7.4\nb        10.25\n";
        assert_eq!(table().text(CellForm::Plain), expected, "plain");
    }

    #[test]
    fn markdown_says_the_alignment() {
        let expected = "\
            | case    |    us |\n\
            | :------ | ----: |\n\
            | nothing |   7.4 |\n\
            | b       | 10.25 |\n";
        assert_eq!(table().text(CellForm::Markdown), expected, "Markdown");
    }
}
