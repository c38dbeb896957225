//! What is seen: the state, and what was read, put into the cells of a screen.

use std::time::Duration;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::args::Order;
use super::columns::{self, Share};
use super::detail::Detail;
use super::reading::{Memory, Reading};
use super::view::{Page, View};
use crate::output::style::Terminal;

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const STANDS_OUT: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The keys, as the help page lists them: no line is longer than the narrowest screen.
const HELP: [(&str, &str); 17] = [
    ("q", "back; quit from the list"),
    ("arrows j k", "choose, or scroll"),
    ("PgUp PgDn", "a page up, down"),
    ("Enter m", "map of pages, holders"),
    ("/", "filter: a part, or a*b"),
    ("Esc", "drop the filter"),
    ("space", "pause"),
    ("s", "sort by size"),
    ("r", "by what is in RAM"),
    ("g", "by growth since start"),
    ("v", "by growth per second"),
    ("d", "by node"),
    ("n", "by name"),
    ("o", "by number of holders"),
    ("i", "by id"),
    ("R  < >", "reverse; next column"),
    ("^L  ^Z", "redraw; suspend"),
];

/// What else there is to say about a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) reading: &'a Reading,
    pub(super) detail: Option<&'a Detail>,
    pub(super) interval: Duration,
    pub(super) terminal: Terminal,
}

/// How many rows of the list, or lines of a page, have a place on a screen that is so high.
pub(super) fn shown(height: u16) -> usize {
    usize::from(height).saturating_sub(if height >= 6 { 4 } else { 2 })
}

/// Draws all of it into an empty buffer.
pub(super) fn draw(view: &mut View, frame: Frame<'_>, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut canvas = Canvas { buffer, frame };
    if area.width == 0 || area.height == 0 {
        return;
    }
    canvas.title(view);
    let top = if area.height >= 6 {
        canvas.status(view);
        2
    } else {
        1
    };
    match view.page {
        Page::List => canvas.list(view, top),
        Page::Area => canvas.area(view, top),
        Page::Help => canvas.help(view, top),
    }
    if area.height >= 6 {
        canvas.footer(view);
    }
}

#[derive(Debug)]
struct Canvas<'a, 'b> {
    buffer: &'a mut Buffer,
    frame: Frame<'b>,
}

impl Canvas<'_, '_> {
    fn width(&self) -> usize {
        self.buffer.area.width.into()
    }

    /// Writes pieces one behind the other, as far as there is room; gives the column behind them.
    fn write(&mut self, x: usize, y: u16, pieces: &[(&str, Style)]) -> usize {
        let mut x = x;
        if y >= self.buffer.area.height {
            return x;
        }
        for (text, style) in pieces {
            let Some(room) = self.width().checked_sub(x).filter(|room| *room > 0) else { break };
            let text = columns::cut(&self.frame.terminal.plain(text), room, self.frame.terminal.utf8);
            // It is less than the width.
            let Ok(start) = u16::try_from(x) else { break };
            self.buffer.set_stringn(start, y, &text, room, *style);
            x += text.width();
        }
        x
    }

    fn coloured(&self, style: Style, colour: Color) -> Style {
        if self.frame.terminal.colours { style.fg(colour) } else { style }
    }

    fn title(&mut self, view: &View) {
        let reading = self.frame.reading;
        let plural = |count: usize, one: &str, several: &str| {
            format!("{count} {}", if count == 1 { one } else { several })
        };
        let mut text = plural(reading.memories.len(), "memory", "memories");
        if reading.areas != reading.memories.len() {
            text += &format!(" ({})", plural(reading.areas, "area", "areas"));
        }
        text += &format!("  {} in RAM", columns::bytes(reading.resident()));
        match reading.per_second() {
            0 => {}
            grows => text += &format!("  {}", columns::signed(Some(grows), "/s")),
        }
        let start = if self.width() >= 60 { "areas top  " } else { "" };
        let x = self.write(0, 0, &[(start, BOLD), (&text, PLAIN)]);
        if view.paused {
            self.write(x, 0, &[("  ", PLAIN), ("PAUSED", STANDS_OUT)]);
        }
    }

    fn status(&mut self, view: &View) {
        if let Some(trouble) = &view.trouble {
            let style = self.coloured(BOLD, Color::Red);
            self.write(0, 1, &[(trouble, style)]);
            return;
        }
        if view.typing.is_some() {
            self.write(
                0,
                1,
                &[
                    ("filter: ", BOLD),
                    (&view.filter, PLAIN),
                    (" ", STANDS_OUT),
                    ("  Enter keeps it, Esc drops it", DIM),
                ],
            );
            return;
        }
        let turned = if view.reverse { ", reversed" } else { "" };
        let order = format!("by {}{turned}", columns::heading(view.order));
        let interval = format!("  every {} s", self.frame.interval.as_secs_f64());
        let mut x = 0;
        if !view.filter.is_empty() {
            x = self.write(0, 1, &[("filter: ", BOLD), (&view.filter, PLAIN), ("  ", PLAIN)]);
        }
        let mut rest = order + &interval;
        match self.frame.reading.unreadable {
            0 => {}
            1 => rest += "  1 process cannot be looked into",
            several => rest += &format!("  {several} processes cannot be looked into"),
        }
        self.write(x, 1, &[(&rest, DIM)]);
    }

    fn list(&mut self, view: &mut View, top: u16) {
        let rows = view.rows(self.frame.reading);
        let place = view.place(&rows);
        let shown = shown(self.buffer.area.height);
        view.scroll_to(place, shown, rows.len());
        let longest = rows.iter().map(|row| columns::content(Order::Name, row).width()).max().unwrap_or(0);
        let places = columns::fitting(self.width().saturating_sub(1), view.order, longest);
        let mut x = 1;
        for &(column, cells) in &places {
            let text = aligned(columns::heading(column), cells, columns::is_number(column));
            let style = if column == view.order { BOLD.add_modifier(Modifier::UNDERLINED) } else { BOLD };
            self.write(x, top, &[(&text, style)]);
            x += cells + 1;
        }
        for (y, (at, memory)) in (top + 1..).zip(rows.iter().enumerate().skip(view.first).take(shown)) {
            self.row(y, &places, memory, at == place);
        }
        if rows.is_empty() {
            let text = if view.filter.is_empty() {
                "no process publishes an area"
            } else {
                "nothing fits the filter"
            };
            self.write(1, top + 1, &[(text, DIM)]);
        }
    }

    fn row(&mut self, y: u16, places: &[columns::Place], memory: &Memory, chosen: bool) {
        if y >= self.buffer.area.height {
            return;
        }
        let mut x = 1;
        for &(column, cells) in places {
            if column == Order::Nodes {
                self.shares(x, y, memory);
            } else {
                let terminal = self.frame.terminal;
                let content = columns::content(column, memory);
                let text = columns::cut(&terminal.plain(&content), cells, terminal.utf8);
                let style = match column {
                    Order::Name => BOLD,
                    Order::Growth | Order::PerSecond if content == "0" => DIM,
                    _ => PLAIN,
                };
                self.write(x, y, &[(&aligned(&text, cells, columns::is_number(column)), style)]);
            }
            x += cells + 1;
        }
        if chosen {
            self.write(0, y, &[(">", PLAIN)]);
            self.buffer.set_style(Rect { y, height: 1, ..self.buffer.area }, STANDS_OUT);
        }
    }

    /// A mark for each eighth, in the colour of its node.
    fn shares(&mut self, x: usize, y: u16, memory: &Memory) {
        for (at, share) in columns::shares(memory).into_iter().enumerate() {
            let style = match share {
                Share::On(node) => self.coloured(PLAIN, colour(node.get())),
                Share::Somewhere | Share::Hole => DIM,
                Share::Swapped => self.coloured(PLAIN, Color::Red),
            };
            self.write(x + at, y, &[(share.mark().encode_utf8(&mut [0; 4]), style)]);
        }
    }

    fn area(&mut self, view: &mut View, top: u16) {
        let memory = self.frame.reading.memories.iter().find(|memory| Some(memory.key) == view.chosen);
        let detail = self.frame.detail.filter(|detail| Some(detail.key) == view.chosen);
        let (Some(memory), Some(detail)) = (memory, detail) else {
            self.write(1, top, &[("it is gone: no process publishes it any more", DIM)]);
            return;
        };
        let heading = format!("{:?}", memory.name());
        self.write(0, top, &[(&heading, BOLD)]);
        let height = shown(self.buffer.area.height);
        let lines = detail.lines(memory, self.width(), height, self.frame.terminal);
        self.page(view, top + 1, &lines);
    }

    fn help(&mut self, view: &mut View, top: u16) {
        self.write(0, top, &[("Keys", BOLD)]);
        let lines: Vec<String> = HELP.iter().map(|(keys, what)| format!("{keys:<11} {what}")).collect();
        self.page(view, top + 1, &lines);
    }

    /// Lines that can be scrolled.
    fn page(&mut self, view: &mut View, top: u16, lines: &[String]) {
        let shown = shown(self.buffer.area.height);
        view.scrolled = view.scrolled.min(lines.len().saturating_sub(shown));
        let bottom = self.buffer.area.height;
        for (y, line) in (top..bottom).zip(lines.iter().skip(view.scrolled).take(shown)) {
            self.write(0, y, &[(line, PLAIN)]);
        }
    }

    fn footer(&mut self, view: &View) {
        let keys: &[(&str, &str)] = match view.page {
            Page::List => &[
                ("q", "quit"),
                ("?", "help"),
                ("/", "filter"),
                ("Enter", "map"),
                ("space", "pause"),
                ("s r g v d n o i", "sort"),
            ],
            Page::Area | Page::Help => {
                &[("q", "back"), ("arrows", "scroll"), ("space", "pause"), ("?", "help")]
            }
        };
        let y = self.buffer.area.height - 1;
        let mut x = 0;
        for (key, what) in keys {
            if x + key.len() + 1 + what.len() > self.width() {
                break;
            }
            x = self.write(x, y, &[(key, BOLD), (" ", PLAIN), (what, DIM), ("  ", PLAIN)]);
        }
    }
}

/// Of neighbours, different ones.
fn colour(node: u32) -> Color {
    const COLOURS: [Color; 6] =
        [Color::Green, Color::Cyan, Color::Yellow, Color::Magenta, Color::Blue, Color::LightGreen];
    COLOURS[node as usize % COLOURS.len()]
}

/// The text, so many cells wide, at the right or at the left.
fn aligned(text: &str, cells: usize, right: bool) -> String {
    let blanks = " ".repeat(cells.saturating_sub(text.width()));
    if right { blanks + text } else { text.to_owned() + &blanks }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::super::reading::tests::{memory, reading};
    use super::super::view::tests::view;
    use super::*;

    const TERMINAL: Terminal = Terminal { colours: false, utf8: true, columns: None };

    fn lines(view: &mut View, reading: &Reading, width: u16, height: u16, terminal: Terminal) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let frame = Frame { reading, detail: None, interval: Duration::from_secs(2), terminal };
        draw(view, frame, &mut buffer);
        let cells = buffer.content().chunks(usize::from(width).max(1));
        cells
            .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    fn several() -> Reading {
        let mut frames = memory(1, "frames", 64 << 20, 16 << 20);
        frames.growth.since_start = Some(1 << 20);
        frames.growth.per_second = Some(4096);
        frames.areas.push(memory(7, "other", 1, 1).areas.remove(0));
        reading(vec![frames, memory(2, "größe\u{1b}[31m区域", 8 << 20, 8 << 20)])
    }

    #[test]
    fn the_list_at_80_columns() {
        let text = lines(&mut view(), &several(), 80, 8, TERMINAL).join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_list_at_40_columns_and_10_lines() {
        let text = lines(&mut view(), &several(), 40, 10, TERMINAL).join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_list_at_200_columns() {
        let text = lines(&mut view(), &several(), 200, 8, TERMINAL).join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn help_fits_the_narrowest_screen() {
        let mut view = view();
        view.press(Key::Char('?'), &several(), 10);
        let text = lines(&mut view, &several(), 40, 24, TERMINAL).join("\n");
        assert!(!text.contains('…'), "{text}");
        for (keys, what) in HELP {
            assert!(text.contains(keys) && text.contains(what), "{what}: {text}");
        }
        // On a low one it can be scrolled to its end.
        view.press(Key::End, &several(), 6);
        let text = lines(&mut view, &several(), 40, 10, TERMINAL).join("\n");
        assert!(text.contains(HELP[16].1) && !text.contains(HELP[0].1), "{text}");
    }

    /// No size, page or locale makes it fail, and nothing is written beyond ASCII where the locale
    /// has no more.
    #[test]
    fn any_size_will_do() {
        let mut reading = several();
        for (count, length) in (0..40).zip((1..).step_by(6)) {
            reading.memories.push(memory(100 + count, &"x".repeat(length), count, 0));
        }
        let ascii = Terminal { utf8: false, ..TERMINAL };
        for width in [0, 1, 2, 5, 10, 11, 20, 39, 40, 80, 300] {
            for height in [0, 1, 2, 3, 5, 6, 10, 24] {
                for keys in ["", "?", "m", "/x", " "] {
                    let mut view = view();
                    keys.chars().for_each(|c| _ = view.press(Key::Char(c), &reading, shown(height)));
                    view.press(Key::End, &reading, shown(height));
                    let lines = lines(&mut view, &reading, width, height, ascii);
                    assert!(lines.iter().all(|line| line.is_ascii()), "{width}×{height} {keys:?}: {lines:?}");
                }
            }
        }
    }

    #[test]
    fn the_chosen_row_is_marked_and_seen() {
        let mut reading = several();
        for count in 0..40 {
            reading.memories.push(memory(100 + count, &format!("n{count:02}"), 100 - count, 100 - count));
        }
        let mut view = view();
        for key in [Key::Home, Key::Down, Key::PageDown, Key::End, Key::PageUp, Key::Up] {
            view.press(key, &reading, shown(10));
            let lines = lines(&mut view, &reading, 40, 10, TERMINAL);
            let marked: Vec<&String> = lines.iter().filter(|line| line.starts_with('>')).collect();
            assert_eq!(marked.len(), 1, "{key:?}: {lines:#?}");
            let rows = view.rows(&reading);
            let name = columns::content(Order::Name, rows[view.place(&rows)]);
            // Behind a wide character comes an empty cell.
            let plain = |text: &str| text.replace(' ', "");
            assert!(plain(marked[0]).contains(&plain(&columns::cut(&name, 20, true))), "{key:?}: {lines:#?}");
        }
    }
}
