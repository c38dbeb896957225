//! One memory, closely: where its pages are, and who holds it, published or not.

use areas::registry::{self, Holder};
use areas::{ErrorKind, escape_invisible};

use super::columns::{bytes, signed};
use super::reading::{Key, Memory};
use crate::map::{Extent, Map};
use crate::output::style::Terminal;

/// What was found out.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) key: Key,
    /// Or why it is not known.
    map: Result<Map, String>,
    holders: Vec<Holder>,
}

impl Detail {
    /// Looks at it by way of the first of its areas that is still there.
    pub(super) fn of(memory: &Memory) -> Self {
        let mut detail = Detail { key: memory.key, map: Err("it is gone".to_owned()), holders: Vec::new() };
        for area in &memory.areas {
            let Ok(source) = registry::get(area.id) else { continue };
            detail.holders = source.holders();
            match source.residency() {
                Ok(residency) => detail.map = Ok(Map::new(residency, memory.locked)),
                Err(error) if error.kind() == ErrorKind::NoSuchArea => continue,
                Err(error) => detail.map = Err(error.to_string()),
            }
            break;
        }
        detail
    }

    /// As lines of at most so many cells, but for rows of marks that want more.
    pub(super) fn lines(
        &self,
        memory: &Memory,
        width: usize,
        height: usize,
        terminal: Terminal,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let growth = match memory.growth.since_start {
            None | Some(0) => String::new(),
            grown => format!(", {} since the start", signed(grown, "")),
        };
        let swapped = match memory.swapped {
            Some(0) => String::new(),
            swapped => format!(", {} swapped", bytes(swapped)),
        };
        let size = bytes(Some(memory.size));
        wrap(&format!("{size}, {} in RAM{growth}{swapped}", bytes(memory.resident)), width, &mut lines);
        for area in &memory.areas {
            let name = escape_invisible(&format!("{:?}", area.name)).into_owned();
            wrap(&format!("area {} {name} of process {}", area.id, area.pid), width, &mut lines);
        }
        lines.push(String::new());
        match &self.map {
            Ok(map) => {
                let plain = Terminal { colours: false, ..terminal };
                for line in map.draw_within(plain, extent(width, height)).lines() {
                    wrap(line, width, &mut lines);
                }
            }
            Err(why) => wrap(
                &format!("where its pages are is not known: {}", escape_invisible(why)),
                width,
                &mut lines,
            ),
        }
        lines.push(String::new());
        for holder in &self.holders {
            let how = match holder.mapped {
                Some(protection) => format!("mapped {protection}"),
                None => "open but not mapped".to_owned(),
            };
            wrap(&format!("held by {holder}, {how}"), width, &mut lines);
        }
        lines
    }
}

/// The largest map that has a place.
fn extent(width: usize, height: usize) -> Extent {
    // An offset of 12 cells, two for each block, and a blank between eights.
    let row = [32, 24, 16].into_iter().find(|row| 12 + row * 2 + row / 8 - 1 <= width).unwrap_or(8);
    Extent { row, rows: height.saturating_sub(8).clamp(4, 16), bar: width.saturating_sub(28).clamp(4, 40) }
}

/// Breaks a line between words where it is too long; what follows is indented as the line is.
fn wrap(line: &str, width: usize, lines: &mut Vec<String>) {
    let indent = line.len() - line.trim_start().len();
    let indent = if indent + 8 > width { 0 } else { indent };
    let mut rest = line.trim_end().to_owned();
    while rest.chars().count() > width && width > 0 {
        let start: usize = rest.chars().take_while(|c| *c == ' ').count();
        let before: String = rest.chars().take(width + 1).collect();
        let at = before.char_indices().rfind(|(at, c)| *c == ' ' && *at > start);
        let Some((at, _)) = at else { break };
        lines.push(rest[..at].trim_end().to_owned());
        rest = " ".repeat(indent) + rest[at..].trim_start();
    }
    lines.push(rest);
}

#[cfg(test)]
mod tests {
    use super::super::reading::Reading;
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let wrapped = |line: &str, width| {
            let mut lines = Vec::new();
            wrap(line, width, &mut lines);
            lines
        };
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("  one two three", 11), ["  one two", "  three"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("                one two", 20), ["                one", "two"]);
    }

    #[test]
    fn a_memory_is_shown_in_any_width() {
        let name = format!("top-detail-{}", std::process::id());
        let area = areas::builder(1 << 20).name(name.as_str()).shared().unwrap();
        area.write_at(0, &[1; 8192]).unwrap();
        let reading = Reading::take().unwrap();
        let memory =
            reading.memories.iter().find(|memory| memory.name().as_bytes() == name.as_bytes()).unwrap();
        let detail = Detail::of(memory);
        for width in [40, 60, 80, 120] {
            for utf8 in [true, false] {
                let terminal = Terminal { colours: true, utf8, columns: None };
                let lines = detail.lines(memory, width, 24, terminal);
                let text = lines.join("\n");
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}:\n{text}");
                for part in ["1.00 MiB, 8.00 KiB in RAM", "hole", &format!("held by {}", std::process::id())]
                {
                    assert!(text.contains(part), "{part}: {text}");
                }
                assert!(utf8 || text.is_ascii(), "{text}");
            }
        }
        drop(area);
    }
}
