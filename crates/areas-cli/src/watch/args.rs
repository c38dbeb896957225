//! What can be said to `areas watch` and `areas wait`.

use std::time::Duration;

use areas::Name;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::publishing::name;
use crate::seconds::seconds;
use crate::target::Pattern;

/// Report what happens to areas, a line an event: published, cloned, resized, frozen, moved,
/// retired, gone
///
/// First it says which are `there`. A publication, and the end of a process that holds an area, are
/// reported at once: the kernel reports them. It reports nothing else, so that areas are looked at
/// every --interval; what comes and goes between two looks is missed. `cloned` is an area over
/// memory that was there under another id; `moved` says that new pages come from elsewhere now, as
/// after `areas move`. It runs until a signal ends it, or no process reads its output any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas watch
  areas watch 'frame*' --json | while read -r event; do …; done
  areas watch model --count 1 --timeout 60 -q    # the next thing that happens to it

Exit status: 0, 1 failed, 2 wrong usage; 4 if --timeout passed before --count events; 141 when the reader of its output went; 128+n when signal n ended it.")]
pub(crate) struct Watch {
    /// Only these: ids, names, and patterns of names with `*`, `?` and `[…]`
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Pattern::new))]
    pub(crate) areas: Vec<Pattern>,
    /// How often to look for what the kernel does not report
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = interval)]
    pub(crate) interval: Duration,
    /// End after so many events; those that were there at the start do not count
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// As JSON, a document a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Wait until there is an area of that name; or until it is frozen, or gone
///
/// A publication is reported by the process that publishes, and the end of the holder by the
/// kernel. For a holder that unpublishes its area, and for freezing, it looks ten times a second.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// The name
    #[arg(value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    /// Until no area has that name
    #[arg(long, conflicts_with_all = ["frozen", "json"])]
    pub(crate) gone: bool,
    /// Until there is one that is frozen
    #[arg(long)]
    pub(crate) frozen: bool,
    /// Give up after so many seconds, with exit status 4; without it, wait indefinitely
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Seconds within what makes sense: who looks all the time does nothing else.
fn interval(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|interval| match interval.as_millis() {
        10..=3_600_000 => Ok(interval),
        _ => Err("it is not between 0.01 and 3600 seconds".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_as_people_write_them() {
        assert_eq!(interval("0.01"), Ok(Duration::from_millis(10)));
        for wrong in ["", "-1", "x", "1e400"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        assert!(interval("0").is_err() && interval("1e9").is_err());
    }
}
