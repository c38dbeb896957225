//! Placements in few bytes, for what is kept and moved: a set of nodes is 128.

use super::node::Node;
use super::nodeset::NodeSet;
use super::placement::Placement;
use super::policy::Policy;

/// A placement on nodes below 64, in a tenth of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SmallPlacement {
    policy: SmallPolicy,
    home: Option<Node>,
    balanced: bool,
}

/// The policies that are asked for most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SmallPolicy {
    Bind(u64),
    Preferred(Node),
    Interleave(u64),
}

impl SmallPlacement {
    pub(crate) fn new(placement: &Placement) -> Option<Self> {
        let policy = match placement.policy_ref() {
            Policy::Bind(nodes) => SmallPolicy::Bind(nodes.first_word()?),
            Policy::Interleave(nodes) => SmallPolicy::Interleave(nodes.first_word()?),
            Policy::Preferred(node) => SmallPolicy::Preferred(*node),
            Policy::Default | Policy::Local | Policy::PreferredMany(_) | Policy::WeightedInterleave(_) => {
                return None;
            }
        };
        Some(SmallPlacement { policy, home: placement.home_node(), balanced: placement.is_balanced() })
    }

    pub(crate) fn whole(self) -> Placement {
        let set = |word| {
            let mut words = *NodeSet::EMPTY.words();
            words[0] = word;
            NodeSet::from_words(words)
        };
        let mut placement = Placement::new(match self.policy {
            SmallPolicy::Bind(word) => Policy::Bind(set(word)),
            SmallPolicy::Interleave(word) => Policy::Interleave(set(word)),
            SmallPolicy::Preferred(node) => Policy::Preferred(node),
        });
        if let Some(home) = self.home {
            placement = placement.home(home);
        }
        if self.balanced { placement.balanced() } else { placement }
    }
}

/// A placement in 32 bytes: most ask for nothing, or for nodes below 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CompactPlacement {
    #[default]
    Default,
    Small(SmallPlacement),
    Whole(Box<Placement>),
}

impl CompactPlacement {
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, CompactPlacement::Default)
    }

    pub(crate) fn whole(&self) -> Placement {
        match self {
            CompactPlacement::Default => Placement::default(),
            CompactPlacement::Small(small) => small.whole(),
            CompactPlacement::Whole(placement) => **placement,
        }
    }
}

impl From<&Placement> for CompactPlacement {
    fn from(placement: &Placement) -> Self {
        if placement.is_default() {
            return CompactPlacement::Default;
        }
        match SmallPlacement::new(placement) {
            Some(small) => CompactPlacement::Small(small),
            None => CompactPlacement::Whole(Box::new(*placement)),
        }
    }
}

impl From<Placement> for CompactPlacement {
    fn from(placement: Placement) -> Self {
        CompactPlacement::from(&placement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_back_as_what_it_was() {
        for (text, small) in [
            ("bind:0", true),
            ("bind:0-3,63", true),
            ("bind:64", false),
            ("interleave:1-2", true),
            ("interleave:0,1023", false),
            ("preferred:1023", true),
            ("preferred-many:0-1", false),
            ("weighted-interleave:0", false),
            ("local", false),
            ("default", false),
            ("bind:all", false),
        ] {
            let policy: Policy = text.parse().unwrap();
            let home = Node::new(5).unwrap();
            let plain = Placement::new(policy);
            for placement in [plain, plain.home(home), plain.balanced(), plain.home(home).balanced()] {
                let made = SmallPlacement::new(&placement);
                assert_eq!(made.is_some(), small, "{text}");
                assert!(made.is_none_or(|made| made.whole() == placement), "{text}: {made:?}");
                let compact = CompactPlacement::from(&placement);
                assert_eq!((compact.whole(), compact.is_default()), (placement, placement.is_default()));
            }
        }
        assert!(size_of::<CompactPlacement>() <= 32);
    }
}
