//! The cells of a screen as SVG: text that can be selected, each run of it as wide as its cells.
//! And the words of such a picture.

use std::fmt::Write as _;
use std::num::NonZeroU16;

use anyhow::{Context as _, Result};

/// Pixels of a cell.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 18.0;
/// Around the text.
const MARGIN: f32 = 16.0;

const BACKGROUND: &str = "#161b22";
const FOREGROUND: &str = "#d0d7de";
/// What is not to stand out.
const DIM: &str = "#8b949e";

/// The eight colours of a terminal, and the bright ones.
const COLOURS: [&str; 16] = [
    "#484f58", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d0d7de", "#6e7681",
    "#ffa198", "#7ee787", "#f2cc60", "#a5d6ff", "#e2c5ff", "#b3f0ff", "#ffffff",
];

/// How a run of cells looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    foreground: &'static str,
    background: Option<&'static str>,
    bold: bool,
    underlined: bool,
}

/// The screen, down to its last row that is not empty.
pub(super) fn draw(screen: &vt100::Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let is_empty = |row: u16| (0..columns).all(|column| text_of(screen, row, column).trim().is_empty());
    let last = (0..rows).rev().find(|row| !is_empty(*row)).unwrap_or(0);
    let (width, height) =
        (f32::from(columns) * WIDTH + 2.0 * MARGIN, f32::from(last + 1) * HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"14\" fill=\"{FOREGROUND}\" xml:space=\"preserve\">\n",
        escaped(title)
    );
    for row in 0..=last {
        draw_row(screen, row, columns, &mut svg);
    }
    svg + "</g>\n</svg>\n"
}

/// Lines of text, as on a screen of their size.
pub(super) fn drawn(text: &str, title: &str) -> Result<String> {
    let columns = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let size = |cells: usize| NonZeroU16::new(u16::try_from(cells)?).context("there is no text");
    let mut parser = vt100::Parser::new(size(text.lines().count())?, size(columns)?, 0);
    let rows: Vec<&str> = text.lines().collect();
    parser.process(rows.join("\r\n").as_bytes());
    Ok(draw(parser.screen(), title))
}

fn draw_row(screen: &vt100::Screen, row: u16, columns: u16, svg: &mut String) {
    let mut column = 0;
    while column < columns {
        let look = look_of(screen, row, column);
        let start = column;
        let mut text = String::new();
        while column < columns && look_of(screen, row, column) == look {
            text += &text_of(screen, row, column);
            column += 1;
        }
        draw_run(row, start, column - start, look, &text, svg);
    }
}

/// Writing to a string cannot fail.
fn draw_run(row: u16, start: u16, cells: u16, look: Look, text: &str, svg: &mut String) {
    let (left, top) = (MARGIN + f32::from(start) * WIDTH, MARGIN + f32::from(row) * HEIGHT);
    if let Some(background) = look.background {
        let width = f32::from(cells) * WIDTH;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{background}\"/>"
        );
    }
    // Pieces without wide gaps: a gap is the place where a browser's idea of a blank would show.
    let mut at = 0;
    for piece in text.split("  ") {
        let blanks = piece.len() - piece.trim_start().len();
        let (from, words) = (at + blanks, piece.trim());
        at += piece.chars().count() + 2;
        let length = words.chars().count();
        if length == 0 {
            continue;
        }
        let x = left + from as f32 * WIDTH;
        let (y, width) = (top + HEIGHT - 4.5, length as f32 * WIDTH);
        let mut style = String::new();
        if look.foreground != FOREGROUND {
            let _ = write!(style, " fill=\"{}\"", look.foreground);
        }
        if look.bold {
            style += " font-weight=\"bold\"";
        }
        if look.underlined {
            style += " text-decoration=\"underline\"";
        }
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"{style}>{}</text>",
            escaped(words)
        );
    }
}

fn text_of(screen: &vt100::Screen, row: u16, column: u16) -> String {
    let cell = screen.cell(row, column);
    match cell.map(vt100::Cell::contents).filter(|text| !text.is_empty()) {
        Some(text) => text.to_owned(),
        None => " ".to_owned(),
    }
}

fn look_of(screen: &vt100::Screen, row: u16, column: u16) -> Look {
    let Some(cell) = screen.cell(row, column) else { return Look::default() };
    let colour = match cell.fgcolor() {
        vt100::Color::Idx(index) => COLOURS.get(usize::from(index)).copied(),
        _ => None,
    };
    let foreground = colour.unwrap_or(if cell.dim() { DIM } else { FOREGROUND });
    let (foreground, background) = match cell.inverse() {
        true => (BACKGROUND, Some(if colour.is_some() { foreground } else { FOREGROUND })),
        false => (foreground, None),
    };
    Look { foreground, background, bold: cell.bold(), underlined: cell.underline() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The words of a picture, in order: without those that have a digit in them, and without units.
/// Where a few words follow on the same ones, they are there once: a machine with several nodes
/// says of each what one with a single node says once.
pub(super) fn words(svg: &str) -> Vec<String> {
    let texts = svg.split("<text ").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('>')?;
        Some(rest.split_once("</text>")?.0)
    });
    let plain: String = texts.flat_map(|text| [text, " "]).collect();
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let mut words: Vec<String> = Vec::new();
    for word in plain.split_whitespace() {
        let letters = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_unit = ["B", "KiB", "MiB", "GiB", "KiB/s", "MiB/s", "B/s", "ms", "s"].contains(&letters);
        if letters.is_empty() || is_unit || letters.contains(|c: char| c.is_ascii_digit()) {
            continue;
        }
        words.push(letters.to_owned());
        for length in 1..=3 {
            let Some(before) = words.len().checked_sub(2 * length) else { break };
            if words[before..before + length] == words[before + length..] {
                words.truncate(before + length);
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(bytes: &str) -> vt100::Parser {
        let size = |cells| NonZeroU16::new(cells).unwrap();
        let mut parser = vt100::Parser::new(size(5), size(40), 0);
        parser.process(bytes.as_bytes());
        parser
    }

    #[test]
    fn cells_become_text() {
        let svg =
            draw(screen("a < b\r\n\x1b[1;32mgood\x1b[0m  far   \x1b[7mturned\x1b[0m").screen(), "A & B");
        for part in [
            "<title>A &amp; B</title>",
            "textLength=\"42.0\" lengthAdjust=\"spacingAndGlyphs\">a &lt; b</text>",
            "fill=\"#56d364\" font-weight=\"bold\">good</text>",
            ">far</text>",
            "fill=\"#161b22\">turned</text>",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.contains("height=\"68\""), "two rows: {svg}");
    }

    #[test]
    fn text_is_drawn_as_it_stands() {
        let svg = drawn("┌─┐\n│a│\n└─┘\n", "box").unwrap();
        assert!(svg.contains("textLength=\"25.2\" lengthAdjust=\"spacingAndGlyphs\">│a│</text>"), "{svg}");
        assert!(svg.contains("height=\"86\""), "three rows: {svg}");
        assert!(drawn("", "nothing").is_err());
    }

    #[test]
    fn words_are_what_stays() {
        let one = draw(screen("✓ area 4711 \"x.17\" has 12 MiB,\r\nnode 0: 3 pages\r\nin 5 ms").screen(), "");
        let several = draw(
            screen("✓ area 1 \"x.9\" has 1.5 GiB,\r\nnode 0: 3 pages\r\nnode 1: 7 pages\r\nin 12 ms")
                .screen(),
            "",
        );
        assert_eq!(words(&one), ["area", "has", "node", "pages", "in"]);
        assert_eq!(words(&one), words(&several));
        assert_ne!(words(&one), words(&draw(screen("area").screen(), "")));
    }
}
