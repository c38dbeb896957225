//! What can be said to `areas top`.

use std::ffi::OsString;
use std::time::Duration;

use clap::ValueEnum;

use crate::seconds::seconds;

/// Watch areas live: what takes memory, what grows, where it is, who holds it
///
/// A row is a memory, with all areas over it: what several of them share counts once. GROWTH is by
/// how much what is in RAM has grown since this command started, PER S how fast it grows now. NODES
/// has a mark for each eighth of it: the digit of the node that it is on, `s` for what is swapped
/// out, `.` for a hole, `?` for a node that is not known.
///
/// Keys: `?` shows them all. `q` quits, `s` `r` `g` `v` `d` `n` `o` `i` sort by size, RAM, growth,
/// growth per second, nodes, name, holders and id, `/` filters as you type, Enter shows where the
/// pages of the chosen area are and who holds it, the space bar pauses.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas top --sort growth                 # what grows most, first
  areas top --filter 'frame*' --interval 0.5
  areas top --json                        # for programs, and without a terminal
  areas top --once --interval 10 --sort per-second    # what grew in 10 s

However it ends, the terminal is as it was: each of its two processes ensures that when the other one is killed. Only if both are killed at once (SIGKILL), no process is left to do it: type `reset`.")]
pub(crate) struct Top {
    /// Only memories with an area whose name has this in it, or fits a pattern with `*`, `?` and
    /// `[…]`; or with this id
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) filter: String,
    /// Sort by this: what is largest first, else the lowest number, or the alphabet
    #[arg(long, value_name = "COLUMN", default_value = "ram")]
    pub(crate) sort: Order,
    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Seconds between two readings, 0.1 or more; 2 without it
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub(crate) interval: Option<Duration>,
    /// Print one table, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// As JSON: one document, and end, as with --once
    #[arg(long)]
    pub(crate) json: bool,
}

/// The screen of `areas top`: the process that reads and draws
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct TopScreen {
    /// The process that has started it
    #[arg(long)]
    pub(crate) parent: i32,
    #[command(flatten)]
    pub(crate) top: Top,
}

impl Top {
    const INTERVAL: Duration = Duration::from_secs(2);

    /// The time between two readings.
    pub(crate) fn interval(&self) -> Duration {
        self.interval.unwrap_or(Top::INTERVAL)
    }

    /// The arguments that say the same to the process that draws.
    pub(crate) fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![
            format!("--filter={}", self.filter),
            format!("--sort={}", self.sort.name()),
            format!("--interval={}", self.interval().as_secs_f64()),
        ];
        if self.reverse {
            arguments.push("--reverse".to_owned());
        }
        arguments.into_iter().map(OsString::from).collect()
    }
}

/// What memories can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// What is in RAM
    Ram,
    /// The size
    Size,
    /// By how much it has grown since the start
    Growth,
    /// How fast it grows now
    PerSecond,
    /// The node that has most of it
    Nodes,
    /// How many processes publish it
    Holders,
    /// The name
    Name,
    /// The id
    Id,
}

impl Order {
    /// All of them, as their columns stand from left to right; `<` and `>` go round.
    pub(crate) const ALL: [Order; 8] = [
        Order::Id,
        Order::Name,
        Order::Size,
        Order::Ram,
        Order::Growth,
        Order::PerSecond,
        Order::Nodes,
        Order::Holders,
    ];

    /// As `--sort` has it.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Seconds: less than a tenth is no use to the eye, and a burden to the machine.
fn interval(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|interval| match interval {
        _ if interval < Duration::from_millis(100) => Err("it is less than 0.1 s".to_owned()),
        _ if interval > Duration::from_secs(86_400) => Err("it is more than a day".to_owned()),
        _ => Ok(interval),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        screen: TopScreen,
    }

    /// The process that draws understands what it is sent.
    #[test]
    fn arguments_are_passed_on() {
        for order in Order::ALL {
            let top = Top {
                filter: "--x = 'y' ö".to_owned(),
                sort: order,
                reverse: order == Order::Id,
                interval: Some(Duration::from_millis(300)),
                once: false,
                json: false,
            };
            let first = ["top-screen", "--parent", "7"].map(OsString::from);
            let read = Line::try_parse_from(first.into_iter().chain(top.to_arguments())).unwrap().screen;
            assert_eq!((read.parent, &read.top.filter, read.top.sort), (7, &top.filter, order));
            assert_eq!((read.top.reverse, read.top.interval), (top.reverse, top.interval));
        }
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "x", "0", "0.05", "-1", "1e9", "nan"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
