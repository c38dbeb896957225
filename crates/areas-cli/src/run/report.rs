//! What is reported of a program that ran: as text, as JSON.

use std::time::Duration;

use areas::{Bytes, Placement, escape_invisible};
use serde::Serialize;

use super::args::{Cpus, Run};
use super::looking::{Looking, Seen};
use super::numa_maps::Use;
use crate::output::json::in_order;
use crate::output::style::Terminal;
use crate::output::table::{Holds, Table};

/// What is to be reported.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The program, as it was named.
    command: String,
    /// As a shell reports it.
    status: u8,
    seconds: f64,
    /// The policy and the CPUs that were asked for; null where none were.
    policy: Option<String>,
    cpus: Option<String>,
    /// How often it was looked at, and how long before the end the last time.
    looks: u32,
    before_end: Option<f64>,
    /// Processes that were seen at the last look, and those that could not be looked into.
    processes: Option<usize>,
    unreadable: Option<usize>,
    /// What was in RAM at the last look, by node.
    #[serde(serialize_with = "in_order")]
    nodes: Option<Vec<(u32, NodeJson)>>,
    /// The same by the policy of the mapping, as the kernel reports it.
    #[serde(serialize_with = "in_order")]
    policies: Option<Vec<(String, u64)>>,
    /// Bytes in transparent huge pages at the last look, with --huge.
    transparent_huge: Option<u64>,
    /// The most that was seen in RAM at once; null where nothing was.
    most: Option<u64>,
}

/// Bytes on a node.
#[derive(Debug, Serialize)]
struct NodeJson {
    heap: u64,
    stack: u64,
    other: u64,
    shared: u64,
    file: u64,
    pool: u64,
    total: u64,
}

impl Report {
    pub(super) fn new(
        run: &Run,
        placement: Option<Placement>,
        cpus: Option<Cpus>,
        status: u8,
        looking: Looking,
    ) -> Self {
        let last = looking.last.as_ref();
        let command =
            run.command.first().map_or(String::new(), |program| program.to_string_lossy().into_owned());
        Report {
            command,
            status,
            seconds: seconds(looking.started.elapsed()),
            policy: placement.map(|placement| placement.to_string()),
            cpus: cpus.map(|Cpus(cpus)| ranges(&cpus)),
            looks: looking.looks,
            before_end: last.map(|seen| seconds(seen.at.elapsed())),
            processes: last.map(|seen| seen.processes),
            unreadable: last.map(|seen| seen.unreadable),
            nodes: last.map(nodes),
            policies: last.map(|seen| seen.usage.policies.clone().into_iter().collect()),
            transparent_huge: last.and_then(|seen| seen.transparent),
            most: last.map(|_| looking.most),
        }
    }

    /// For people, on the standard error or in a file.
    pub(super) fn text(&self, on_stderr: bool) -> String {
        let plain = Terminal { colours: false, utf8: true, columns: None };
        let terminal = if on_stderr { Terminal::stderr() } else { plain };
        let mut text =
            format!("areas: {:?} ran for {:.1} s, status {}", self.command, self.seconds, self.status);
        for (what, asked) in [("policy", &self.policy), ("CPUs", &self.cpus)] {
            if let Some(asked) = asked {
                text += &format!(", {what} {asked}");
            }
        }
        text = format!("{}\n", escape_invisible(&text));
        let Some(nodes) = self.nodes.as_ref().filter(|nodes| !nodes.is_empty()) else {
            let why = match self.unreadable {
                Some(some) if some > 0 => "it may not be looked into",
                _ => "it ended before it was looked at, or the kernel does not report it (numa_maps)",
            };
            return text + &format!("where its memory was is not known: {why}\n");
        };
        text += &table(nodes).render(terminal);
        text += &self.remarks();
        terminal.plain(&text).into_owned()
    }

    fn remarks(&self) -> String {
        let before = self.before_end.unwrap_or_default();
        let looked = match self.looks {
            1 => "looked at once".to_owned(),
            looks => format!("looked at {looks} times"),
        };
        let most = Bytes(self.most.unwrap_or_default());
        let mut text =
            format!("{looked}, last {before:.1} s before the end; at most {most:#} were seen at once\n");
        if let Some(processes) = self.processes.filter(|&processes| processes > 1) {
            text += &format!("in {processes} processes: what several have mapped counts for each\n");
        }
        if let Some(unreadable) = self.unreadable.filter(|&unreadable| unreadable > 0) {
            text += &format!("{unreadable} more could not be looked into\n");
        }
        if let Some(bytes) = self.transparent_huge {
            text += &format!("{:#} in transparent huge pages\n", Bytes(bytes));
        }
        for (policy, bytes) in self.policies.iter().flatten() {
            text += &format!("{:#} under policy {}\n", Bytes(*bytes), escape_invisible(policy));
        }
        text
    }
}

fn seconds(time: Duration) -> f64 {
    // To the millisecond: no more is known.
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn nodes(seen: &Seen) -> Vec<(u32, NodeJson)> {
    let each = seen.usage.nodes.iter().map(|(node, uses)| {
        let of = |of: Use| uses.get(&of).copied().unwrap_or(0);
        let total = uses.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let bytes = NodeJson {
            heap: of(Use::Heap),
            stack: of(Use::Stack),
            other: of(Use::Other),
            shared: of(Use::Shared),
            file: of(Use::File),
            pool: of(Use::Pool),
            total,
        };
        (*node, bytes)
    });
    each.collect()
}

fn table(nodes: &[(u32, NodeJson)]) -> Table {
    let headings = ["NODE", "HEAP", "STACK", "OTHER", "SHARED", "FILE", "POOL", "TOTAL", "%"];
    let mut table = Table::new(headings.map(|heading| (heading, Holds::Numbers)));
    let all = nodes.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(bytes.total));
    for (node, bytes) in nodes {
        let each = [bytes.heap, bytes.stack, bytes.other, bytes.shared, bytes.file, bytes.pool];
        table.cell(node);
        each.iter().for_each(|&bytes| match bytes {
            0 => table.cell("-"),
            some => table.cell(format_args!("{:#}", Bytes(some))),
        });
        table.cell(format_args!("{:#}", Bytes(bytes.total)));
        table.cell(u128::from(bytes.total) * 100 / u128::from(all.max(1)));
    }
    table
}

/// Numbers in order as people write them: `0-3,8`.
pub(super) fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 3, 8, 10, 11]), "0-3,8,10-11");
        assert_eq!(ranges(&[]), "");
    }
}
