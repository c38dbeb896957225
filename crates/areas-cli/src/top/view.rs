//! What is shown of what is there: the order, the filter, the chosen area, the page. And what keys
//! do to it.

use glob::Pattern;

use super::args::{Order, Top};
use super::columns;
use super::keys::Key;
use super::reading::{self, Memory, Reading};

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// All memories that fit the filter.
    List,
    /// Where the pages of the chosen one are, and who holds it.
    Area,
    Help,
}

/// What is to be done outside of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Draw what has changed.
    Draw,
    /// Look again first.
    Read,
    /// Draw all of it again.
    Redraw,
    Suspend,
    Quit,
    Interrupt,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct View {
    pub(super) order: Order,
    pub(super) reverse: bool,
    pub(super) filter: String,
    /// The filter is being typed: what it was before.
    pub(super) typing: Option<String>,
    pub(super) chosen: Option<reading::Key>,
    /// The first row that is shown.
    pub(super) first: usize,
    /// The first line of the page that is shown.
    pub(super) scrolled: usize,
    pub(super) page: Page,
    pub(super) paused: bool,
    /// Why the last look failed.
    pub(super) trouble: Option<String>,
}

impl View {
    pub(super) fn new(top: &Top) -> Self {
        View {
            order: top.sort,
            reverse: top.reverse,
            filter: top.filter.clone(),
            typing: None,
            chosen: None,
            first: 0,
            scrolled: 0,
            page: Page::List,
            paused: false,
            trouble: None,
        }
    }

    /// What is shown, in order.
    pub(super) fn rows<'a>(&self, reading: &'a Reading) -> Vec<&'a Memory> {
        let filter = Filter::new(&self.filter);
        let mut rows: Vec<&Memory> = reading.memories.iter().filter(|memory| filter.fits(memory)).collect();
        rows.sort_by(|one, other| {
            let order = columns::compare(self.order, one, other);
            if self.reverse { order.reverse() } else { order }
        });
        rows
    }

    /// The chosen memory's place among the rows: the first one where it is not there.
    pub(super) fn place(&self, rows: &[&Memory]) -> usize {
        rows.iter().position(|memory| Some(memory.key) == self.chosen).unwrap_or(0)
    }

    /// Ensures that the chosen row is among the so many that are shown.
    pub(super) fn scroll_to(&mut self, place: usize, shown: usize, all: usize) {
        let shown = shown.max(1);
        self.first = self.first.min(all.saturating_sub(shown));
        if place < self.first {
            self.first = place;
        } else if place >= self.first + shown {
            self.first = (place + 1).saturating_sub(shown);
        }
    }

    /// What a key does. `shown` is how many rows have a place.
    pub(super) fn press(&mut self, key: Key, reading: &Reading, shown: usize) -> Action {
        match key {
            Key::Interrupt => return Action::Interrupt,
            Key::Suspend => return Action::Suspend,
            Key::Redraw => return Action::Redraw,
            _ => {}
        }
        if self.typing.is_some() {
            self.type_filter(key);
            return Action::Draw;
        }
        match (self.page, key) {
            (Page::List, Key::Char('q')) => return Action::Quit,
            (_, Key::Char('q') | Key::Escape) if self.page != Page::List => return self.open(Page::List),
            (Page::List, Key::Escape) => self.filter.clear(),
            (_, Key::Char('?' | 'h')) => return self.open(Page::Help),
            (_, Key::Char(' ')) => self.paused = !self.paused,
            (Page::List, Key::Enter | Key::Char('m')) => {
                let rows = self.rows(reading);
                let chosen = rows.get(self.place(&rows)).map(|memory| memory.key);
                if chosen.is_some() {
                    self.chosen = chosen;
                    return self.open(Page::Area);
                }
            }
            (Page::Area, Key::Enter | Key::Char('m')) => return self.open(Page::List),
            (Page::List, _) => self.press_in_list(key, reading, shown),
            _ => self.scroll(key, shown),
        }
        Action::Draw
    }

    fn open(&mut self, page: Page) -> Action {
        self.page = page;
        self.scrolled = 0;
        if page == Page::Area { Action::Read } else { Action::Draw }
    }

    fn press_in_list(&mut self, key: Key, reading: &Reading, shown: usize) {
        match key {
            Key::Char('/') => self.typing = Some(self.filter.clone()),
            Key::Char('R') => self.reverse = !self.reverse,
            Key::Char('<') => self.sort_by_neighbour(Order::ALL.len() - 1),
            Key::Char('>') => self.sort_by_neighbour(1),
            Key::Char(c) => {
                if let Some(order) = order_of(c) {
                    self.order = order;
                }
                match c {
                    'j' => self.go(reading, 1),
                    'k' => self.go(reading, -1),
                    _ => {}
                }
            }
            Key::Up => self.go(reading, -1),
            Key::Down => self.go(reading, 1),
            Key::PageUp => self.go(reading, -page_of(shown)),
            Key::PageDown => self.go(reading, page_of(shown)),
            Key::Home => self.go(reading, isize::MIN),
            Key::End => self.go(reading, isize::MAX),
            _ => {}
        }
    }

    fn sort_by_neighbour(&mut self, steps: usize) {
        let at = Order::ALL.iter().position(|order| *order == self.order).unwrap_or(0);
        self.order = Order::ALL[(at + steps) % Order::ALL.len()];
    }

    /// Chooses the row that is so many further down.
    fn go(&mut self, reading: &Reading, rows: isize) {
        let all = self.rows(reading);
        let place = self.place(&all).saturating_add_signed(rows).min(all.len().saturating_sub(1));
        self.chosen = all.get(place).map(|memory| memory.key);
    }

    fn scroll(&mut self, key: Key, shown: usize) {
        self.scrolled = match key {
            Key::Up | Key::Char('k') => self.scrolled.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scrolled + 1,
            Key::PageUp => self.scrolled.saturating_sub(shown),
            Key::PageDown => self.scrolled + shown,
            Key::Home => 0,
            // Where the end is is known when it is drawn.
            Key::End => usize::MAX / 2,
            _ => self.scrolled,
        };
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => _ = self.filter.pop(),
            Key::Clear => self.filter.clear(),
            Key::Enter => self.typing = None,
            Key::Escape => self.filter = self.typing.take().unwrap_or_default(),
            _ => {}
        }
    }
}

fn page_of(shown: usize) -> isize {
    isize::try_from(shown.saturating_sub(1).max(1)).unwrap_or(isize::MAX)
}

/// The letters that sort.
fn order_of(letter: char) -> Option<Order> {
    Some(match letter {
        's' => Order::Size,
        'r' => Order::Ram,
        'g' => Order::Growth,
        'v' => Order::PerSecond,
        'd' => Order::Nodes,
        'n' => Order::Name,
        'o' => Order::Holders,
        'i' => Order::Id,
        _ => return None,
    })
}

/// Which memories are shown.
#[derive(Debug)]
enum Filter<'a> {
    All,
    Names(Pattern),
    Part(&'a str),
}

impl<'a> Filter<'a> {
    /// A pattern where it has signs of one, and makes sense; while it is typed it may not yet.
    fn new(text: &'a str) -> Self {
        match Pattern::new(text) {
            _ if text.is_empty() => Filter::All,
            Ok(pattern) if text.contains(['*', '?', '[']) => Filter::Names(pattern),
            _ => Filter::Part(text),
        }
    }

    fn fits(&self, memory: &Memory) -> bool {
        memory.areas.iter().any(|area| {
            let name = String::from_utf8_lossy(area.name.as_bytes());
            match self {
                Filter::All => true,
                Filter::Names(pattern) => pattern.matches(&name),
                Filter::Part(part) => name.contains(part) || *part == area.id.to_string(),
            }
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::reading::tests::{memory, reading};
    use super::*;

    pub(in crate::top) fn view() -> View {
        View::new(&Top {
            filter: String::new(),
            sort: Order::Ram,
            reverse: false,
            interval: None,
            once: false,
            json: false,
        })
    }

    fn several() -> Reading {
        reading(vec![
            memory(1, "frames", 100, 10),
            memory(2, "model", 50, 50),
            memory(3, "frame-index", 5, 5),
        ])
    }

    fn names(view: &View, reading: &Reading) -> Vec<String> {
        view.rows(reading).iter().map(|memory| memory.name().to_string()).collect()
    }

    fn type_in(view: &mut View, reading: &Reading, keys: &str) {
        for c in keys.chars() {
            let key = if c == '\n' { Key::Enter } else { Key::Char(c) };
            assert_eq!(view.press(key, reading, 10), Action::Draw, "{c}");
        }
    }

    #[test]
    fn keys_sort() {
        let (mut view, reading) = (view(), several());
        for (keys, expected) in [
            ("", ["model", "frames", "frame-index"]),
            ("s", ["frames", "model", "frame-index"]),
            ("n", ["frame-index", "frames", "model"]),
            ("R", ["model", "frames", "frame-index"]),
            ("Ri", ["frames", "model", "frame-index"]),
            (">", ["frame-index", "frames", "model"]),
            ("<", ["frames", "model", "frame-index"]),
        ] {
            type_in(&mut view, &reading, keys);
            assert_eq!(names(&view, &reading), expected, "{keys}");
        }
    }

    #[test]
    fn a_filter_acts_as_it_is_typed() {
        let (mut view, reading) = (view(), several());
        type_in(&mut view, &reading, "/frame");
        assert_eq!(names(&view, &reading), ["frames", "frame-index"]);
        type_in(&mut view, &reading, "-q");
        assert!(names(&view, &reading).is_empty());
        view.press(Key::Backspace, &reading, 10);
        assert_eq!(names(&view, &reading), ["frame-index"]);
        view.press(Key::Escape, &reading, 10);
        assert_eq!((names(&view, &reading).len(), view.typing.is_none()), (3, true));
        for (filter, expected) in [("*s", 1), ("[", 0), ("2", 1), ("m[oa]d*", 1)] {
            type_in(&mut view, &reading, &format!("/{filter}\n"));
            assert_eq!(names(&view, &reading).len(), expected, "{filter}");
            view.press(Key::Escape, &reading, 10);
        }
    }

    #[test]
    fn the_chosen_one_stays_chosen() {
        let (mut view, mut reading) = (view(), several());
        view.press(Key::Down, &reading, 10);
        let chosen = |view: &View, reading: &Reading| {
            let rows = view.rows(reading);
            rows[view.place(&rows)].name().to_string()
        };
        assert_eq!(chosen(&view, &reading), "frames");
        reading.memories[0].resident = Some(1);
        assert_eq!(chosen(&view, &reading), "frames");
        for (key, expected) in [
            (Key::Home, "model"),
            (Key::End, "frames"),
            (Key::Up, "frame-index"),
            (Key::PageUp, "model"),
            (Key::Up, "model"),
        ] {
            view.press(key, &reading, 10);
            assert_eq!(chosen(&view, &reading), expected, "{key:?}");
        }
        reading.memories.clear();
        for key in [Key::Down, Key::End, Key::Enter] {
            view.press(key, &reading, 10);
        }
        assert_eq!(view.page, Page::List);
    }

    #[test]
    fn the_chosen_row_is_seen() {
        let mut view = view();
        for (place, shown, all, expected) in [
            (0, 5, 20, 0),
            (7, 5, 20, 3),
            (4, 5, 20, 3),
            (2, 5, 20, 2),
            (19, 5, 20, 15),
            (3, 5, 4, 0),
            (0, 0, 0, 0),
        ] {
            view.scroll_to(place, shown, all);
            assert_eq!(view.first, expected, "{place} {shown} {all}");
        }
    }

    #[test]
    fn pages_open_and_close() {
        let (mut view, reading) = (view(), several());
        assert_eq!(view.press(Key::Enter, &reading, 10), Action::Read);
        assert_eq!(view.page, Page::Area);
        view.press(Key::Char('?'), &reading, 10);
        assert_eq!(view.page, Page::Help);
        assert_eq!(view.press(Key::Char('q'), &reading, 10), Action::Draw);
        assert_eq!(view.page, Page::List);
        assert_eq!(view.press(Key::Char('q'), &reading, 10), Action::Quit);
        assert_eq!(view.press(Key::Interrupt, &reading, 10), Action::Interrupt);
        assert_eq!(view.press(Key::Suspend, &reading, 10), Action::Suspend);
    }
}
