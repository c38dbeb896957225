//! Tables: lined up, without frames, as wide as the terminal; unbroken lines where the output is no terminal.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Grid, presets};

use super::style::{Look, Terminal};

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lean {
    Left,
    Right,
}

/// Columns with a heading each, and rows.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Lean)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Lean)>) -> Self {
        let columns = columns.into_iter().map(|(heading, lean)| (heading.to_owned(), lean)).collect();
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
    pub(crate) fn render(&self, terminal: Terminal) -> String {
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
        let cells = |texts: &mut dyn Iterator<Item = &String>| -> Vec<Cell> {
            texts.map(|text| Cell::new(terminal.plain(text))).collect()
        };
        grid.set_header(cells(&mut self.columns.iter().map(|(heading, _)| heading)));
        for row in &self.rows {
            grid.add_row(cells(&mut row.iter()));
        }
        for (at, (_, lean)) in self.columns.iter().enumerate() {
            if let Some(column) = grid.column_mut(at) {
                column.set_padding((0, 2));
                column.set_cell_alignment(match lean {
                    Lean::Left => CellAlignment::Left,
                    Lean::Right => CellAlignment::Right,
                });
            }
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
        let mut table = Table::new([("NAME", Lean::Left), ("SIZE", Lean::Right), ("NOTE", Lean::Left)]);
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
    fn no_line_is_wider_than_the_terminal() {
        for columns in [20, 40, 80, 200] {
            let text = sample().render(Terminal { columns: Some(columns), ..PIPED });
            assert!(text.lines().all(|line| line.chars().count() <= columns.into()), "{text}");
        }
    }

    #[test]
    fn the_heading_is_bold_where_that_can_be_seen() {
        let text = sample().render(Terminal { colours: true, columns: Some(80), ..PIPED });
        assert!(text.starts_with("\x1b[1mNAME"), "{text:?}");
        assert_eq!(text.matches('\x1b').count(), 2);
    }
}
