//! Where an area's pages shall be, of which size, and whether they stay: the options that put and
//! create share.

use std::str::FromStr;

use areas::{
    AreaBuilder, Error, ErrorKind, Lock, Node, NodeSet, PageSize, Pages, Placement, Policy, Provider as _,
    System,
};
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
    /// The nodes of the policy: `0-3,8`, `fastest`, `nearest`, `most-free` (the most free memory),
    /// or a memory space: `highest-bandwidth`; interleaving without it takes all that are allowed
    #[arg(long)]
    pub(crate) nodes: Option<Choice>,
    /// While the machine balances (kernel.numa_balancing), the kernel may move pages to the node of
    /// the CPU that uses them, among the nodes of `bind` (Linux 5.15) or `preferred-many` (6.10);
    /// without it, pages that have a policy stay where they are
    #[arg(long)]
    pub(crate) balanced: bool,
}

/// Where its pages are
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct Placing {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Contiguous parts, each on its node, as large as its weight says: `0:1,1:3` is a quarter on
    /// node 0, and the rest on node 1
    #[arg(long, value_name = "NODE[:WEIGHT],…", conflicts_with_all = ["policy", "nodes"])]
    split: Option<Split>,
    /// Huge pages: from the kernel's pool (2M, 1G) or an error, as it can be had (auto), or none
    #[arg(long, value_enum, value_name = "PAGES", default_value_t = Huge::Never)]
    pub(crate) huge: Huge,
    /// Keep its pages in RAM: each once it has come in (lazy), or all of them from the start
    /// (full), and physically contiguous (contiguous) or below 16 MiB as well (low); -32: below 4
    /// GiB
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
        let placement = Placement::from(policy);
        Ok(if self.balanced { placement.balanced() } else { placement })
    }
}

/// Nodes with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split(Vec<(Node, u32)>);

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> areas::Result<Self> {
        let part = |part: &str| {
            let (node, weight) = part.split_once(':').unwrap_or((part, "1"));
            let node = Node::new(node.parse().ok()?).ok()?;
            Some((node, weight.parse().ok().filter(|&weight| weight > 0)?))
        };
        text.split(',').map(part).collect::<Option<_>>().map(Split).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("split an area into {text:?}"))
                .with_facts("it is not a list of nodes, each with a weight of 1 or more")
                .with_remedy("name the nodes in order: `0:1,1:3`")
        })
    }
}

impl Placing {
    pub(crate) fn placement(&self, quiet: bool) -> areas::Result<Placement> {
        self.place.placement(quiet)
    }

    /// Where the pages are while they are read: on the nodes of the parts, if it is split.
    pub(crate) fn stage(&self, placement: Placement) -> Placement {
        match &self.split {
            Some(Split(parts)) => Policy::Bind(parts.iter().map(|&(node, _)| node).collect()).into(),
            None => placement,
        }
    }

    /// An area of that size, placed as was asked. (What divides it stays as long as this program
    /// runs.)
    pub(crate) fn builder(&self, size: usize, placement: Placement) -> AreaBuilder<'static> {
        let ask = areas::builder(size).place(placement).pages(self.pages());
        match &self.split {
            Some(Split(parts)) => ask.provider(Box::leak(Box::new(System::new().split(parts.clone())))),
            None => ask,
        }
    }

    /// What was asked of its place, in words, if pages may be elsewhere.
    pub(crate) fn asked(&self, placement: Placement) -> Option<String> {
        let allowed = areas::allowed_nodes().unwrap_or(NodeSet::ALL);
        match &self.split {
            Some(Split(parts)) => {
                let words: Vec<_> =
                    parts.iter().map(|(node, weight)| format!("{weight} of node {node}")).collect();
                Some(words.join(", "))
            }
            None => {
                let named = placement.policy().nodes()?;
                (!allowed.is_subset(&named)).then(|| placement.to_string())
            }
        }
    }

    /// Whether anything was asked of it.
    pub(crate) fn is_asked(&self) -> bool {
        let Place { policy, nodes, balanced } = &self.place;
        let somewhere = policy.is_some() || nodes.is_some() || *balanced || self.split.is_some();
        somewhere || self.huge != Huge::Never || self.lock != Lock::None.name()
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
    fn parts_by_weight() {
        let node = |id| Node::new(id).unwrap();
        let cases = [
            ("0", Some(vec![(node(0), 1)])),
            ("0:1,1:3", Some(vec![(node(0), 1), (node(1), 3)])),
            ("2,0:7,2", Some(vec![(node(2), 1), (node(0), 7), (node(2), 1)])),
            ("", None),
            ("0,", None),
            ("0:", None),
            ("0:0", None),
            ("0:-1", None),
            ("0-1", None),
            ("1024:1", None),
            ("0:1:1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Split>().ok(), expected.map(Split), "{text:?}");
        }
    }

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
            let place = |balanced| {
                let nodes = nodes.map(|nodes| nodes.parse().unwrap());
                let place = Place { policy: policy.map(str::to_owned), nodes, balanced };
                place.placement(true).ok().map(|placement| placement.to_string())
            };
            assert_eq!(place(false).as_deref(), expected, "{policy:?} {nodes:?}");
            let balanced = expected.map(|expected| format!("{expected}, balanced"));
            assert_eq!(place(true), balanced, "{policy:?} {nodes:?}");
        }
    }
}
