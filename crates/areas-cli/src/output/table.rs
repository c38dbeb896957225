//! Tables: lined up, without frames, as wide as the terminal; unbroken lines where the output is no
//! terminal.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::ops::Range;

use areas::escape_invisible;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width, presets};
use unicode_width::UnicodeWidthStr;

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

/// The widest that a column of text becomes where lines are not broken: a name may have 255 bytes,
/// and one of them would make each line that long.
const LONGEST: usize = 40;

/// The blanks between two columns.
const BETWEEN: usize = 2;

/// Columns with a heading each, and rows.
///
/// # Invariants
/// `ends` has the end of each cell in `text`, row by row. No cell has a control character or an
/// invisible one.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Holds)>,
    text: String,
    ends: Vec<usize>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Holds)>) -> Self {
        Table { columns: columns.into_iter().collect(), text: String::new(), ends: Vec::new() }
    }

    /// Adds a cell: as many make a row as there are columns.
    pub(crate) fn cell(&mut self, content: impl Display) {
        let start = self.text.len();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{content}");
        // Names of areas and commands are not ours.
        if let Cow::Owned(escaped) = escape_invisible(&self.text[start..]) {
            self.text.truncate(start);
            self.text.push_str(&escaped);
        }
        self.ends.push(self.text.len());
    }

    /// Adds a row: one cell a column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Display>) {
        cells.into_iter().for_each(|cell| self.cell(cell));
        debug_assert!(self.ends.len().is_multiple_of(self.columns.len()));
    }

    /// Leaves out columns in which no row says anything.
    pub(crate) fn without_empty_columns(self) -> Self {
        let says = |at: usize| self.rows(0..self.count()).any(|row| !self.content(row + at).is_empty());
        let kept: Vec<usize> = (0..self.columns.len()).filter(|&at| says(at)).collect();
        let mut table = Table::new(kept.iter().map(|&at| self.columns[at]));
        for row in self.rows(0..self.count()) {
            table.row(kept.iter().map(|at| self.content(row + at)));
        }
        table
    }

    /// Whole lines, without blanks at their ends.
    pub(crate) fn render(self, terminal: Terminal) -> String {
        let table = if terminal.utf8 || self.text.is_ascii() { self } else { self.plain(terminal) };
        let mut text = String::new();
        match terminal.columns {
            Some(columns) => table.laid_out(columns, &mut text),
            None => table.lined_up(&mut text),
        }
        if let Some((heading, rows)) = text.split_once('\n')
            && terminal.colours
        {
            text = format!("{}\n{rows}", terminal.paint(Look::Bold, heading));
        }
        text
    }

    /// The rows alone, a line each, however long: for other programs.
    pub(crate) fn without_headings(mut self, terminal: Terminal) -> String {
        self.columns.iter_mut().for_each(|(heading, _)| *heading = "");
        let text = self.render(Terminal { columns: None, colours: false, ..terminal });
        text.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned())
    }

    /// How many rows there are.
    fn count(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    /// The numbers of the first cells of rows.
    fn rows(&self, rows: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        let columns = self.columns.len();
        rows.map(move |row| row * columns)
    }

    /// What a cell has, by its number.
    fn content(&self, cell: usize) -> &str {
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[cell]]
    }

    /// The same in characters that the locale has.
    fn plain(&self, terminal: Terminal) -> Self {
        let mut plain = Table::new(self.columns.iter().copied());
        (0..self.ends.len()).for_each(|cell| plain.cell(terminal.plain(self.content(cell))));
        plain
    }

    /// Lines no longer than that, if words can be broken so.
    fn laid_out(&self, columns: u16, text: &mut String) {
        let mut grid = Grid::new();
        grid.set_header(self.columns.iter().map(|(heading, _)| Cell::new(heading)));
        for row in self.rows(0..self.count()) {
            grid.add_row((row..row + self.columns.len()).map(|cell| Cell::new(self.content(cell))));
        }
        grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        self.put(grid, text, |at| match self.columns[at].1 {
            Holds::Numbers | Holds::Words => ColumnConstraint::ContentWidth,
            Holds::Text => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST)),
        });
    }

    /// A line a row, however long: by hand, as nothing is to be broken. Of thousands of rows the
    /// library would make several copies.
    fn lined_up(&self, text: &mut String) {
        let widths = self.widths();
        let headings = self.columns.iter().map(|(heading, _)| *heading);
        self.line(headings, &widths, text);
        for row in self.rows(0..self.count()) {
            self.line((row..row + self.columns.len()).map(|cell| self.content(cell)), &widths, text);
        }
    }

    /// Puts a line of cells into a text.
    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, widths: &[usize], text: &mut String) {
        let start = text.len();
        for (at, content) in cells.enumerate() {
            let behind = self.blanks_behind(at);
            let blanks = widths[at].saturating_sub(width(content) + behind);
            let (before, after) = match self.columns[at].1 {
                Holds::Numbers => (blanks, behind),
                Holds::Words | Holds::Text => (0, blanks + behind),
            };
            text.extend(std::iter::repeat_n(' ', before));
            text.push_str(content);
            text.extend(std::iter::repeat_n(' ', after));
        }
        text.truncate(start.max(text.trim_end().len()));
        text.push('\n');
    }

    /// Puts the lines of a grid with these columns into a text.
    fn put(&self, mut grid: Grid, text: &mut String, width: impl Fn(usize) -> ColumnConstraint) {
        grid.load_style(presets::NOTHING);
        for (at, &(_, holds)) in self.columns.iter().enumerate() {
            let Some(column) = grid.column_mut(at) else { continue };
            column.set_padding((0, u16::try_from(self.blanks_behind(at)).unwrap_or(0)));
            column.set_cell_alignment(match holds {
                Holds::Numbers => CellAlignment::Right,
                Holds::Words | Holds::Text => CellAlignment::Left,
            });
            column.set_constraint(width(at));
        }
        for line in grid.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    /// How wide the columns are where nothing is broken, the blanks behind them included: as the
    /// library measures it. A text that is longer than [`LONGEST`] stands whole, and pushes what is
    /// behind it in its own row alone.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(heading, _)| width(heading)).collect();
        for row in self.rows(0..self.count()) {
            for (at, known) in widths.iter_mut().enumerate() {
                let own = width(self.content(row + at));
                if own <= LONGEST || self.columns[at].1 != Holds::Text {
                    *known = own.max(*known);
                }
            }
        }
        let with_blanks = |(at, width): (usize, usize)| {
            let width = width + self.blanks_behind(at);
            if self.columns[at].1 == Holds::Text { width.max(NARROWEST.into()) } else { width }
        };
        widths.into_iter().enumerate().map(with_blanks).collect()
    }

    fn blanks_behind(&self, column: usize) -> usize {
        if column + 1 < self.columns.len() { BETWEEN } else { 0 }
    }
}

/// Cells of a terminal's line that a text takes. What is ASCII has no control characters (an
/// invariant of the table), so that each takes one.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([("NAME", Holds::Text), ("SIZE", Holds::Numbers), ("NOTE", Holds::Words)]);
        table.row(["a", "1 B", ""]);
        table.row(["a long name", "100 MiB", ""]);
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

    /// As other programs read it, and as a terminal shows it that is wide enough: laid out by two
    /// ways.
    #[test]
    fn many_rows_line_up_as_few_do() {
        let mut table = sample();
        // Empty cells, wide characters, the widest cell of a column.
        for row in 2..391 {
            let name = match row % 7 {
                0 => String::new(),
                1 => "größe".to_owned(),
                2 => "区域".to_owned(),
                3 => "e\u{301}".to_owned(),
                _ => "n".repeat(row / 10),
            };
            let note = if row % 3 == 0 { "locked" } else { "" };
            table.row([name, format!("{} KiB", row * row), note.to_owned()]);
        }
        let text = table.clone().render(PIPED);
        assert_eq!(text.lines().count(), 1 + 391);
        assert_eq!(text, table.render(Terminal { columns: Some(u16::MAX), ..PIPED }));
        let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let end = |line: &str, word: &str| line[..line.find(word).unwrap() + word.len()].width();
        assert_eq!(end(first, "SIZE"), end(last, "KiB"));
    }

    #[test]
    fn a_long_name_pushes_its_own_row_alone() {
        let mut table = sample();
        let long = "x".repeat(255);
        table.row([&long, "2.00 GiB", "locked"]);
        let expected = format!(
            "NAME             SIZE  NOTE\na                 1 B\na long name   100 MiB\n{long}  2.00 GiB  locked\n"
        );
        assert_eq!(table.clone().render(PIPED), expected);
        // Where lines are broken the name is.
        let narrow = table.render(Terminal { columns: Some(80), ..PIPED });
        assert!(
            narrow.lines().all(|line| line.len() <= 80) && narrow.matches('x').count() == 255,
            "{narrow}"
        );
    }

    #[test]
    fn without_rows_there_are_headings() {
        let headings = || Table::new([("NAME", Holds::Text), ("SIZE", Holds::Numbers)]);
        assert_eq!(headings().render(PIPED), "NAME      SIZE\n");
        assert_eq!(headings().render(Terminal { columns: Some(80), ..PIPED }), "NAME      SIZE\n");
    }

    #[test]
    fn a_cell_is_one_line_that_no_terminal_obeys() {
        let mut table = Table::new([("COMMAND", Holds::Text)]);
        table.row(["a\x1b[31mb\nc\td"]);
        assert_eq!(table.render(PIPED), "COMMAND\na\\u{1b}[31mb\\nc\\td\n");
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
