//! What was found, for people and for programs.

use areas::escape_invisible;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::check::{Check, Counts, Group, Remedy, State};
use crate::output::style::{Look, Terminal};

/// The widest that a title is given room for.
const WIDEST: usize = 23;

/// Groups with a line for each check. What is fine is reported by name alone, a line a group,
/// unless `all` is asked for. Lines are as wide as the terminal at most, but for commands, which
/// are to be copied.
pub(super) fn text(groups: &[Group], all: bool, terminal: Terminal) -> String {
    let page = Page::new(groups, terminal);
    let mut text = String::new();
    for Group { title, checks } in groups {
        text += &terminal.paint(Look::Bold, title);
        text.push('\n');
        let (fine, others): (Vec<&Check>, Vec<&Check>) =
            checks.iter().partition(|check| check.state == State::Fine && !all);
        others.iter().for_each(|check| page.check(check, &mut text));
        page.names(&fine, &mut text);
    }
    text.push('\n');
    text + &summary(Counts::of(groups), all) + "\n"
}

fn summary(counts: Counts, all: bool) -> String {
    let Counts { fine, remarks, broken, unknown } = counts;
    let noun = if remarks == 1 { "remark" } else { "remarks" };
    let more = if all || fine == 0 { "" } else { " (--all lists what is fine)" };
    format!("{fine} fine, {remarks} {noun}, {broken} broken, {unknown} unknown{more}")
}

/// How checks are laid out.
struct Page {
    terminal: Terminal,
    /// Columns of titles.
    titles: usize,
}

impl Page {
    fn new(groups: &[Group], terminal: Terminal) -> Self {
        let titles =
            groups.iter().flat_map(|group| &group.checks).map(|check| terminal.plain(&check.title).width());
        Page { terminal, titles: titles.max().unwrap_or(0).min(WIDEST) }
    }

    /// The mark of a state, as wide as any other.
    fn mark(&self, state: State) -> String {
        let (sign, look) = match state {
            State::Fine => ("✓", Look::Good),
            State::Remark => ("!", Look::Bold),
            State::Broken => ("✗", Look::Bad),
            State::Unknown => ("?", Look::Dim),
        };
        let sign = self.terminal.plain(sign);
        let width = if self.terminal.utf8 { 1 } else { "FAILED".len() };
        let blanks = " ".repeat(width.saturating_sub(sign.width()));
        self.terminal.paint(look, &sign) + &blanks
    }

    fn indent(&self) -> usize {
        let mark = if self.terminal.utf8 { 1 } else { "FAILED".len() };
        2 + mark + 1 + self.titles + 2
    }

    fn check(&self, check: &Check, text: &mut String) {
        let title = self.terminal.plain(&check.title).into_owned();
        let blanks = " ".repeat(self.titles.saturating_sub(title.width()));
        *text += &format!("  {} {title}{blanks}  ", self.mark(check.state));
        self.wrapped(&check.finding, title.width().saturating_sub(self.titles), text);
        for remedy in &check.remedies {
            text.push_str(&" ".repeat(self.indent()));
            match remedy {
                // Whole, so that it can be copied.
                Remedy::Root(line) => *text += &format!("# {}\n", self.shown(line)),
                Remedy::Shell(line) => *text += &format!("$ {}\n", self.shown(line)),
                Remedy::Words(words) => self.wrapped(words, 0, text),
            }
        }
    }

    fn names(&self, fine: &[&Check], text: &mut String) {
        if fine.is_empty() {
            return;
        }
        *text += &format!("  {} ", self.mark(State::Fine));
        let mut names: Vec<&str> = fine.iter().map(|check| check.title.as_str()).collect();
        names.dedup();
        let start = self.indent() - self.titles - 2;
        self.filled(&names.join(", "), start, start, text);
    }

    /// What another process may have had a hand in, as it can be shown.
    fn shown(&self, words: &str) -> String {
        self.terminal.plain(&escape_invisible(words)).into_owned()
    }

    /// Words up to the terminal's end, the next lines below them.
    fn wrapped(&self, words: &str, further: usize, text: &mut String) {
        self.filled(words, self.indent(), self.indent() + further, text);
    }

    fn filled(&self, words: &str, indent: usize, start: usize, text: &mut String) {
        let words = self.shown(words);
        let Some(columns) = self.terminal.columns.map(usize::from) else {
            *text += &words;
            text.push('\n');
            return;
        };
        let mut at = start;
        let mut first = true;
        for word in words.split(' ') {
            let width = word.width();
            if !first && at + 1 + width > columns && at > indent {
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                at = indent;
                first = true;
            }
            if !first {
                text.push(' ');
                at += 1;
            }
            *text += word;
            at += width;
            first = false;
        }
        text.push('\n');
    }
}

/// A check as it is printed in JSON, with the group that it belongs to.
#[derive(Debug, Serialize)]
struct CheckJson<'a> {
    group: &'static str,
    #[serde(flatten)]
    check: &'a Check,
}

/// All of it for programs.
#[derive(Debug, Serialize)]
pub(super) struct Json<'a> {
    /// The area that was looked at; null where it was the machine.
    area: Option<i32>,
    checks: Vec<CheckJson<'a>>,
    #[serde(flatten)]
    counts: Counts,
}

impl<'a> Json<'a> {
    pub(super) fn new(groups: &'a [Group], area: Option<i32>) -> Self {
        let checks = groups
            .iter()
            .flat_map(|group| group.checks.iter().map(|check| CheckJson { group: group.title, check }))
            .collect();
        Json { area, checks, counts: Counts::of(groups) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Group> {
        vec![
            Group {
                title: "limits",
                checks: vec![
                    Check::fine("a", "open files", "20000"),
                    Check::remark(
                        "b",
                        "locked memory",
                        "8 MiB may be locked by this user, \u{202e}and nothing more than that at all",
                    )
                    .shell("ulimit -S -l hard")
                    .words(
                        "LimitMEMLOCK=infinity in the systemd unit; `--ulimit memlock=-1` of the container",
                    ),
                    Check::fine("c", "addresses", "unlimited"),
                ],
            },
            Group {
                title: "registry",
                checks: vec![
                    Check::broken("d", "folder", "it belongs to user 7")
                        .root("rm -r /dev/shm/areas-1000 # a line that is longer than the page"),
                    Check::unknown("e", "entries", "there is no /x"),
                ],
            },
        ]
    }

    #[test]
    fn lines_as_wide_as_the_page_and_commands_whole() {
        let terminal = Terminal { colours: false, utf8: true, columns: Some(60) };
        insta::assert_snapshot!(text(&sample(), false, terminal), @"
        limits
          ! locked memory  8 MiB may be locked by this user,
                           \\u{202e}and nothing more than that at all
                           $ ulimit -S -l hard
                           LimitMEMLOCK=infinity in the systemd
                           unit; `--ulimit memlock=-1` of the
                           container
          ✓ open files, addresses
        registry
          ✗ folder         it belongs to user 7
                           # rm -r /dev/shm/areas-1000 # a line that is longer than the page
          ? entries        there is no /x

        2 fine, 1 remark, 1 broken, 1 unknown (--all lists what is fine)
        ");
        let pipe = Terminal { columns: None, ..terminal };
        insta::assert_snapshot!(text(&sample(), true, pipe), @"
        limits
          ✓ open files     20000
          ! locked memory  8 MiB may be locked by this user, \\u{202e}and nothing more than that at all
                           $ ulimit -S -l hard
                           LimitMEMLOCK=infinity in the systemd unit; `--ulimit memlock=-1` of the container
          ✓ addresses      unlimited
        registry
          ✗ folder         it belongs to user 7
                           # rm -r /dev/shm/areas-1000 # a line that is longer than the page
          ? entries        there is no /x

        2 fine, 1 remark, 1 broken, 1 unknown
        ");
        let ascii = Terminal { utf8: false, ..terminal };
        insta::assert_snapshot!(text(&sample(), false, ascii), @"
        limits
          !      locked memory  8 MiB may be locked by this user,
                                \\u{202e}and nothing more than that
                                at all
                                $ ulimit -S -l hard
                                LimitMEMLOCK=infinity in the systemd
                                unit; `--ulimit memlock=-1` of the
                                container
          ok     open files, addresses
        registry
          FAILED folder         it belongs to user 7
                                # rm -r /dev/shm/areas-1000 # a line that is longer than the page
          ?      entries        there is no /x

        2 fine, 1 remark, 1 broken, 1 unknown (--all lists what is fine)
        ");
    }
}
