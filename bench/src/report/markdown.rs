//! Tables for people.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::outcome::{Compared, Number, Outcome, Report};
use crate::statistics::Spread;

/// The report, pictures included.
pub fn full(report: &Report, pictures: &[(String, &'static str)]) -> String {
    let mut text = String::new();
    if report.smoke {
        text += "**A smoke run: the numbers mean nothing.**\n\n";
    }
    text += &machine(&report.machine, report.seconds);
    text += "\nRatios are ours / the peer's time, the median of pairs measured one right after the other, with quartiles; below 1 is \
             faster. Calls: system calls of one time, ours / the peer's, counted by a tracer.\n\n";
    text += &summary(report);
    for row in &report.rows {
        let _ = write!(text, "\n### {}: {}\n\n", row.name, row.what);
        let mut compared = row
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Compared(compared) => Some(compared),
                _ => None,
            })
            .peekable();
        if compared.peek().is_some() {
            text += "| case | ours | against | ratio | quartiles | ours | peer | calls | target | |\n";
            text += "|---|---|---|--:|--:|--:|--:|--:|--:|---|\n";
            compared.for_each(|one| text += &line(one));
        }
        let mut numbers = row
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Number(number) => Some(number),
                _ => None,
            })
            .peekable();
        if numbers.peek().is_some() {
            text += "\n| case | value | quartiles | target | |\n|---|--:|--:|--:|---|\n";
            numbers.for_each(|one| text += &number_line(one));
        }
        for outcome in &row.outcomes {
            if let Outcome::Skipped { case, why } = outcome {
                let _ = write!(text, "\nSKIPPED: {case}: {why}\n");
            }
        }
        if !row.curves.is_empty() {
            text += &curves(row);
        }
    }
    for (file, what) in pictures {
        let _ = write!(text, "\n![{what}]({file})\n");
    }
    text
}

/// What a terminal is shown.
pub fn in_short(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.rows {
        for outcome in &row.outcomes {
            let _ = match outcome {
                Outcome::Compared(one) => writeln!(
                    text,
                    "{:<10} {:<38} {:<36} {:>7}  {:>10} {:>10}  {}",
                    row.name,
                    one.case,
                    one.peer,
                    ratio(one.ratio.median),
                    time(one.ours_ns.median),
                    time(one.peer_ns.median),
                    verdict(one.met(), one.target),
                ),
                Outcome::Number(one) => writeln!(
                    text,
                    "{:<10} {:<75} {:>7} {:<3}  {}",
                    row.name,
                    one.case,
                    plain(one.value.median),
                    one.unit,
                    verdict(one.met(), one.target),
                ),
                Outcome::Skipped { case, why } => writeln!(text, "{:<10} {case}: SKIPPED: {why}", row.name),
            };
        }
    }
    text + &summary(report)
}

fn summary(report: &Report) -> String {
    if report.smoke {
        return "A smoke run: every row ran, the numbers mean nothing.\n".to_owned();
    }
    let mut met = (0, 0);
    let mut missed = Vec::new();
    for row in &report.rows {
        for outcome in &row.outcomes {
            let (verdict, name) = match outcome {
                Outcome::Compared(one) => {
                    (one.met(), format!("{} ({}, against {})", row.name, one.case, one.peer))
                }
                Outcome::Number(one) => (one.met(), format!("{} ({})", row.name, one.case)),
                Outcome::Skipped { .. } => continue,
            };
            match verdict {
                Some(true) => met.0 += 1,
                Some(false) => missed.push(name),
                None => continue,
            }
            met.1 += 1;
        }
    }
    let mut text = format!("{} of {} targets met.", met.0, met.1);
    if !missed.is_empty() {
        let _ = write!(text, " Missed: {}.", missed.join("; "));
    }
    text + "\n"
}

fn machine(machine: &Machine, seconds: f64) -> String {
    format!(
        "{}, {} CPUs{}; {} MiB; {} node{}; Linux {}; base pages of {} bytes; transparent huge pages {}; governor {}; load {} before, {} \
         after; {}. The run took {seconds:.0} s.\n",
        machine.cpu,
        machine.cpus,
        if machine.virtual_machine { " of a virtual machine" } else { "" },
        machine.memory_mib,
        machine.nodes,
        if machine.nodes == 1 { "" } else { "s" },
        machine.kernel,
        machine.base_page,
        machine.transparent_huge_pages,
        machine.governor,
        machine.load_before,
        machine.load_after,
        machine.compiler,
    )
}

fn line(one: &Compared) -> String {
    let calls = match (one.ours_calls, one.peer_calls) {
        (Some(ours), Some(peer)) => format!("{} / {}", plain(ours), plain(peer)),
        _ => String::new(),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {calls} | {} | {} |\n",
        one.case,
        one.ours,
        one.peer,
        ratio(one.ratio.median),
        quartiles(one.ratio, ratio),
        time(one.ours_ns.median),
        time(one.peer_ns.median),
        one.target.map_or(String::new(), |target| format!("≤ {target:.2}")),
        mark(one.met()),
    )
}

fn number_line(one: &Number) -> String {
    format!(
        "| {} | {} {} | {} | {} | {} |\n",
        one.case,
        plain(one.value.median),
        one.unit,
        quartiles(one.value, plain),
        one.target.map_or(String::new(), |target| format!("≤ {} {}", plain(target), one.unit)),
        mark(one.met()),
    )
}

/// Nanoseconds by work: what the pictures show.
fn curves(row: &crate::outcome::RowReport) -> String {
    let mut text = String::new();
    let mut pictures: Vec<&str> = row.curves.iter().map(|curve| curve.picture).collect();
    pictures.dedup();
    for picture in pictures {
        let curves: Vec<_> = row.curves.iter().filter(|curve| curve.picture == picture).collect();
        let mut across: Vec<f64> =
            curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)).collect();
        across.sort_by(f64::total_cmp);
        across.dedup();
        let _ = write!(text, "\n| nanoseconds, by {} |", curves[0].across);
        across.iter().for_each(|work| text += &format!(" {} |", plain(*work)));
        text += "\n|---|";
        text += &"--:|".repeat(across.len());
        text += "\n";
        for curve in curves {
            let _ = write!(text, "| {} |", curve.name);
            for work in &across {
                let value = curve.points.iter().find(|point| point.0 == *work);
                text += &value.map_or(" |".to_owned(), |point| format!(" {} |", plain(point.1)));
            }
            text += "\n";
        }
    }
    text
}

fn mark(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    }
}

fn verdict(met: Option<bool>, target: Option<f64>) -> String {
    match (met, target) {
        (Some(true), Some(target)) => format!("met (at most {target})"),
        (Some(false), Some(target)) => format!("MISSED (at most {target})"),
        _ => String::new(),
    }
}

fn quartiles(spread: Spread, show: fn(f64) -> String) -> String {
    format!("{}–{}", show(spread.low), show(spread.high))
}

fn ratio(ratio: f64) -> String {
    // A peer that is far behind is not shown in hundredths of hundredths.
    if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") }
}

/// Three digits.
fn plain(value: f64) -> String {
    match value {
        value if value == value.trunc() || value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        time if time >= 1e9 => (time / 1e9, "s"),
        time if time >= 1e6 => (time / 1e6, "ms"),
        time if time >= 1e3 => (time / 1e3, "µs"),
        time => (time, "ns"),
    };
    format!("{} {unit}", plain(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.5, 12.0, 999.4, 1_500.0, 2_345_678.0, 3.2e9].map(time);
        assert_eq!(shown, ["0.50 ns", "12 ns", "999 ns", "1.50 µs", "2.35 ms", "3.20 s"]);
        assert_eq!([0.012, 0.956, 12.3].map(ratio), ["0.012", "0.96", "12.30"]);
    }
}
