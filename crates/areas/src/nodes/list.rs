//! The kernel's list syntax, `0-3,8`: one reader and one printer for sets of nodes and of CPUs.
//!
//! What is read here may come from a user or from a file of the kernel; neither is trusted.

use std::fmt;
use std::iter::Peekable;

use crate::text::shortened;

/// Reads `0-3,8` and calls `each` with the first and the last number of every part. Parts may
/// overlap and come in any order. No part at all is an error, and so is any number above `max`. The
/// error says why, as a phrase.
pub(crate) fn parse(text: &str, max: u32, mut each: impl FnMut(u32, u32)) -> Result<(), String> {
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first, max)?, number(last, max)?),
            None => {
                let only = number(part, max)?;
                (only, only)
            }
        };
        if first > last {
            return Err(format!("the range {part} runs backwards"));
        }
        each(first, last);
    }
    Ok(())
}

/// As [`parse`], for what the kernel prints: one trailing newline is allowed, and nothing at all is
/// the empty list.
pub(crate) fn parse_kernel(text: &str, max: u32, each: impl FnMut(u32, u32)) -> Result<(), String> {
    match line(text) {
        "" => Ok(()),
        text => parse(text, max, each),
    }
}

/// What the kernel prints as one line: without the newline, and without the NUL that some kernels
/// (seen up to 5.15) print behind lists.
pub(crate) fn line(text: &str) -> &str {
    let text = text.trim_end_matches('\0');
    text.strip_suffix('\n').unwrap_or(text)
}

/// Reads digits, and nothing but digits, as a number up to `max`.
pub(crate) fn number(text: &str, max: u32) -> Result<u32, String> {
    if text.is_empty() {
        return Err("a number is missing".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{} is not a number", excerpt(text)));
    }
    match text.parse() {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("{} is above {max}", cut(text))),
    }
}

/// Writes ascending numbers as `0-3,8`.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, numbers: impl Iterator<Item = u32>) -> fmt::Result {
    let mut numbers = numbers.peekable();
    let mut comma = "";
    while let Some(first) = numbers.next() {
        write!(f, "{comma}{first}")?;
        let last = end_of_run(first, &mut numbers);
        if last != first {
            write!(f, "-{last}")?;
        }
        comma = ",";
    }
    Ok(())
}

fn end_of_run(first: u32, numbers: &mut Peekable<impl Iterator<Item = u32>>) -> u32 {
    let mut last = first;
    while let Some(next) = numbers.next_if(|&next| last.checked_add(1) == Some(next)) {
        last = next;
    }
    last
}

/// Text for an error message: quoted, escaped, and not more of it than a person reads.
pub(crate) fn excerpt(text: &str) -> String {
    let shown = cut(text);
    if shown.len() == text.len() { format!("{text:?}") } else { format!("{shown:?}…") }
}

fn cut(text: &str) -> &str {
    const MAX: usize = 60;
    shortened(text, MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = &'a [(u32, u32)];

    fn parts(text: &str) -> Result<Vec<(u32, u32)>, String> {
        let mut parts = Vec::new();
        parse_kernel(text, 1023, |first, last| parts.push((first, last)))?;
        Ok(parts)
    }

    #[test]
    fn kernel_lists() {
        let cases: [(&str, Result<Parts<'_>, &str>); 14] = [
            ("", Ok(&[])),
            ("\n", Ok(&[])),
            ("0\n", Ok(&[(0, 0)])),
            ("0-3,8\n", Ok(&[(0, 3), (8, 8)])),
            ("8,0-3,2-1023", Ok(&[(8, 8), (0, 3), (2, 1023)])),
            ("\n\n", Err(r#""\n" is not a number"#)),
            ("0-3\n\0", Ok(&[(0, 3)])),
            ("0\0\n", Err(r#""0\0" is not a number"#)),
            ("0,", Err("a number is missing")),
            ("-3", Err("a number is missing")),
            ("3-1", Err("the range 3-1 runs backwards")),
            ("0-1-2", Err(r#""1-2" is not a number"#)),
            ("0-1024", Err("1024 is above 1023")),
            ("99999999999999999999", Err("99999999999999999999 is above 1023")),
        ];
        for (text, expected) in cases {
            let expected = expected.map(<[_]>::to_vec).map_err(str::to_owned);
            assert_eq!(parts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let shown = excerpt(&"é".repeat(1000));
        assert_eq!(shown, format!("\"{}\"…", "é".repeat(30)));
        assert_eq!(excerpt("\x1b[2J"), r#""\u{1b}[2J""#);
    }
}
