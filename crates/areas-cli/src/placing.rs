//! Where an area's pages shall be, of which size, and whether they stay: the options that put and create share.

use areas::{Lock, NodeSet, PageSize, Pages, Placement, Policy};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use crate::choice::Choice;

/// On which nodes its pages are
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct Place {
    /// Which nodes its pages come from; with --nodes alone it is `bind`
    #[arg(long, value_parser = PossibleValuesParser::new(Policy::NAMES))]
    pub(crate) policy: Option<String>,
    /// The nodes of the policy: `0-3,8`, or `fastest`, `nearest`, `roomiest`; interleaving without it takes all that are
    /// allowed
    #[arg(long)]
    pub(crate) nodes: Option<Choice>,
}

/// Where its pages are
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct Placing {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Huge pages: from the kernel's pool (2M, 1G) or an error, as it can be had (auto), or none
    #[arg(long, value_enum, value_name = "PAGES", default_value_t = Huge::Never)]
    pub(crate) huge: Huge,
    /// Keep its pages in RAM: each once it has come in (lazy), or all of them from the start (full), and physically
    /// contiguous (contiguous) or below 16 MiB as well (low); -32: below 4 GiB
    #[arg(long, default_value = Lock::None.name(), value_parser = PossibleValuesParser::new(Lock::NAMES))]
    lock: String,
}

/// Which huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Huge {
    Auto,
    Never,
    #[value(name = "2M")]
    TwoMebi,
    #[value(name = "1G")]
    OneGibi,
}

impl Place {
    /// The placement that policy and nodes make together.
    pub(crate) fn placement(&self, quiet: bool) -> areas::Result<Placement> {
        let nodes = self.nodes.map(|choice| choice.resolve(quiet)).transpose()?;
        let policy = match (self.policy.as_deref(), nodes) {
            (None, None) => Policy::Default,
            (None, Some(nodes)) => Policy::from_parts("bind", Some(nodes))?,
            (Some(name @ ("interleave" | "weighted-interleave")), None) => {
                Policy::from_parts(name, Some(NodeSet::ALL))?
            }
            (Some(name), nodes) => Policy::from_parts(name, nodes)?,
        };
        Ok(policy.into())
    }
}

impl Placing {
    pub(crate) fn placement(&self, quiet: bool) -> areas::Result<Placement> {
        self.place.placement(quiet)
    }

    pub(crate) fn pages(&self) -> Pages {
        match self.huge {
            Huge::Auto => Pages::Auto,
            Huge::Never => Pages::Base,
            Huge::TwoMebi => Pages::Pool(PageSize::HUGE_2M),
            Huge::OneGibi => Pages::Pool(PageSize::HUGE_1G),
        }
    }

    pub(crate) fn lock(&self) -> areas::Result<Lock> {
        self.lock.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_and_nodes() {
        let cases = [
            (None, None, Some("default")),
            (None, Some("0-3"), Some("bind:0-3")),
            (Some("interleave"), None, Some("interleave:all")),
            (Some("weighted-interleave"), None, Some("weighted-interleave:all")),
            (Some("interleave"), Some("0,2"), Some("interleave:0,2")),
            (Some("preferred"), Some("1"), Some("preferred:1")),
            (Some("preferred-many"), Some("1-2"), Some("preferred-many:1-2")),
            (Some("local"), None, Some("local")),
            (Some("bind"), None, None),
            (Some("preferred"), None, None),
            (Some("preferred"), Some("0-1"), None),
            (Some("local"), Some("0"), None),
            (Some("default"), Some("0"), None),
        ];
        for (policy, nodes, expected) in cases {
            let place =
                Place { policy: policy.map(str::to_owned), nodes: nodes.map(|nodes| nodes.parse().unwrap()) };
            let placement = place.placement(true).ok().map(|placement| placement.to_string());
            assert_eq!(placement.as_deref(), expected, "{policy:?} {nodes:?}");
        }
    }
}
