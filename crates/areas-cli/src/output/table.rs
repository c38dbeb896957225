//! Tables: lined up, without frames, as wide as the terminal; unbroken lines where the output is no terminal.

use std::borrow::Cow;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width, presets};

use super::style::{Look, Terminal};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Numbers: to the right, and never broken, as a part of a number is another number.
    Numbers,
    /// Words of a few: to the left, never broken.
    Words,
    /// Anything: broken where the terminal is too narrow, but not into splinters.
    Text,
}

/// The narrowest that a column of text becomes, the blanks behind it included.
const NARROWEST: u16 = 10;

/// Columns with a heading each, and rows.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Holds)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Holds)>) -> Self {
        let columns = columns.into_iter().map(|(heading, holds)| (heading.to_owned(), holds)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row: one cell a column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Leaves out columns in which no row says anything.
    pub(crate) fn without_empty_columns(mut self) -> Self {
        let said: Vec<bool> =
            (0..self.columns.len()).map(|at| self.rows.iter().any(|row| !row[at].is_empty())).collect();
        let mut keep = said.iter();
        self.columns.retain(|_| *keep.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut keep = said.iter();
            row.retain(|_| *keep.next().unwrap_or(&true));
        }
        self
    }

    /// Whole lines, without blanks at their ends.
    pub(crate) fn render(self, terminal: Terminal) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        match terminal.columns {
            Some(columns) => {
                grid.set_content_arrangement(ContentArrangement::Dynamic);
                grid.set_width(columns);
            }
            None => {
                grid.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let cell = |text: String| match terminal.plain(&text) {
            Cow::Borrowed(_) => Cell::new_owned(text),
            Cow::Owned(plain) => Cell::new_owned(plain),
        };
        let (headings, holds): (Vec<String>, Vec<Holds>) = self.columns.into_iter().unzip();
        let count = holds.len();
        grid.set_header(headings.into_iter().map(cell).collect::<Vec<_>>());
        for row in self.rows {
            grid.add_row(row.into_iter().map(cell).collect::<Vec<_>>());
        }
        for (at, holds) in holds.iter().enumerate() {
            let last = at + 1 == count;
            let Some(column) = grid.column_mut(at) else { continue };
            column.set_padding((0, if last { 0 } else { 2 }));
            column.set_cell_alignment(match holds {
                Holds::Numbers => CellAlignment::Right,
                Holds::Words | Holds::Text => CellAlignment::Left,
            });
            column.set_constraint(match holds {
                Holds::Numbers | Holds::Words => ColumnConstraint::ContentWidth,
                Holds::Text => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST)),
            });
        }
        let mut text = String::new();
        for (at, line) in grid.lines().enumerate() {
            let line = line.trim_end();
            match at {
                0 => text.push_str(&terminal.paint(Look::Bold, line)),
                _ => text.push_str(line),
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([("NAME", Holds::Text), ("SIZE", Holds::Numbers), ("NOTE", Holds::Words)]);
        table.row(["a".into(), "1 B".into(), String::new()]);
        table.row(["a long name".into(), "100 MiB".into(), String::new()]);
        table
    }

    const PIPED: Terminal = Terminal { colours: false, utf8: true, columns: None };

    #[test]
    fn lined_up() {
        let expected = "NAME            SIZE  NOTE\na                1 B\na long name  100 MiB\n";
        assert_eq!(sample().render(PIPED), expected);
        let expected = "NAME            SIZE\na                1 B\na long name  100 MiB\n";
        assert_eq!(sample().without_empty_columns().render(PIPED), expected);
    }

    #[test]
    fn only_text_is_broken() {
        for columns in [24, 40, 80, 200] {
            let text = sample().render(Terminal { columns: Some(columns), ..PIPED });
            assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{text}");
        }
        let narrow = sample().render(Terminal { columns: Some(24), ..PIPED });
        assert_eq!(narrow, "NAME         SIZE  NOTE\na             1 B\na long    100 MiB\nname\n");
    }

    #[test]
    fn the_heading_is_bold_where_that_can_be_seen() {
        let text = sample().render(Terminal { colours: true, columns: Some(80), ..PIPED });
        assert!(text.starts_with("\x1b[1mNAME"), "{text:?}");
        assert_eq!(text.matches('\x1b').count(), 2);
    }
}
