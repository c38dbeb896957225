//! Every policy on every set of nodes, for every kind of memory: each page is where the policy
//! says.

use areas::{ErrorKind, Node, NodeSet, Placement, Policy, Topology};

use crate::support::machine::{OnCpu, has_weights, pool, weights};
use crate::support::memory::{Memory, Sort, placed};
use crate::support::{HUGE, assert_goes_round, guest, ids, node, nodes, pages, subsets};

/// Pages of 2 MiB that each node has for these tests: enough for every set.
const POOL: u64 = 8;
/// Uneven, so that a table of weights read in the wrong order shows.
const WEIGHTS: [u8; 4] = [3, 1, 2, 1];

/// The member of a set that is nearest to a node: where the kernel begins to look for pages.
fn nearest(topology: &Topology, set: NodeSet, from: u32) -> u32 {
    let distance = |to: &Node| topology.distance(node(from), *to).unwrap();
    set.iter().min_by_key(distance).unwrap().get()
}

/// How many pages show the whole pattern of a policy, twice where they are small.
fn count(policy: Policy, sort: Sort) -> usize {
    let round = match policy {
        Policy::Interleave(set) => set.len(),
        Policy::WeightedInterleave(set) => turns(set).len(),
        _ => 2,
    };
    if sort.is_pool() { round } else { round * 12 }
}

/// The nodes of a set in turn, each as often as its weight.
fn turns(set: NodeSet) -> Vec<u32> {
    set.iter().flat_map(|node| std::iter::repeat_n(node.get(), WEIGHTS[node.get() as usize].into())).collect()
}

/// All policies over a set. (Preferred takes one node.)
fn policies(set: NodeSet) -> Vec<Policy> {
    let mut policies = vec![Policy::Bind(set), Policy::PreferredMany(set), Policy::Interleave(set)];
    if has_weights() {
        policies.push(Policy::WeightedInterleave(set));
    }
    if set.len() == 1 {
        policies.push(Policy::Preferred(set.first().unwrap()));
    }
    policies
}

/// Each page where the policy says, by a thread on node 0.
#[track_caller]
fn assert_obeyed(topology: &Topology, memory: &Memory, policy: Policy, what: &str) {
    let found = memory.nodes();
    match policy {
        Policy::Bind(set) | Policy::PreferredMany(set) => {
            let nearest = nearest(topology, set, 0);
            assert!(found.iter().all(|&node| node == nearest), "{what}: {found:?}");
        }
        Policy::Preferred(node) => assert!(found.iter().all(|&on| on == node.get()), "{what}: {found:?}"),
        Policy::Interleave(set) => {
            assert_goes_round(&found, &ids(set), what);
            for id in set {
                let share = found.iter().filter(|&&on| on == id.get()).count();
                assert_eq!(share * set.len(), found.len(), "{what}: node {id} has {share}");
            }
        }
        Policy::WeightedInterleave(set) => assert_goes_round(&found, &turns(set), what),
        _ => assert!(found.iter().all(|&node| node == 0), "{what}: {found:?}"),
    }
    if let Some(verification) = memory.verify() {
        assert!(verification.holds(), "{what}: {verification}");
        assert_eq!(verification.in_place(), memory.len() as u64, "{what}");
    }
}

fn every_set_for(sorts: &[Sort]) {
    let _cpu = OnCpu::of_node(0);
    let _weights = if has_weights() { weights(&WEIGHTS) } else { Vec::new() };
    let topology = Topology::read().unwrap();
    for &sort in sorts {
        for set in subsets() {
            for policy in policies(set) {
                let what = format!("{policy}, {sort:?}");
                let memory = placed(sort, count(policy, sort), policy)
                    .unwrap_or_else(|error| panic!("{what}: {error:#}"));
                memory.touch();
                assert_obeyed(&topology, &memory, policy, &what);
                // Populating puts them where touching does.
                if !sort.is_pool() {
                    let mut memory = placed(sort, count(policy, sort), policy).unwrap();
                    memory.populate();
                    assert_obeyed(&topology, &memory, policy, &format!("{what}, populated"));
                }
            }
        }
    }
}

#[test]
fn every_policy_on_every_set_of_nodes() {
    guest!();
    every_set_for(&Sort::BASE);
}

#[test]
fn every_policy_on_every_set_of_nodes_in_pages_of_the_pool() {
    guest!();
    let _pools = [0, 1, 2, 3].map(|node| pool(node, HUGE, POOL));
    every_set_for(&[Sort::PoolPrivate, Sort::PoolShared]);
}

/// A set of one in the middle, and the last node: what masks that are one bit short lose.
#[test]
fn one_node_in_the_middle_and_the_last_one() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    for id in [1, 3] {
        for sort in Sort::BASE {
            let memory = placed(sort, 32, Policy::Bind(nodes([id]))).unwrap();
            memory.touch();
            assert_eq!(memory.nodes(), [id; 32], "{sort:?}");
            let maps = pages::numa_maps(memory.start(), memory.len());
            assert_eq!(maps.len(), 1, "{maps:?}");
            assert_eq!(maps[0].policy, format!("bind:{id}"), "{sort:?}");
            assert_eq!(maps[0].pages.get(&id), Some(&32), "{sort:?}: {maps:?}");
        }
    }
}

/// What the kernel says about the policy, in its own words.
#[test]
fn the_kernel_names_the_same_policy() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut cases = vec![
        (Policy::Default, "default"),
        (Policy::Local, "local"),
        (Policy::Bind(nodes([0, 2, 3])), "bind:0,2-3"),
        (Policy::Preferred(node(2)), "prefer:2"),
        (Policy::PreferredMany(nodes([1, 2])), "prefer (many):1-2"),
        (Policy::Interleave(NodeSet::ALL), "interleave:0-3"),
    ];
    if has_weights() {
        cases.push((Policy::WeightedInterleave(nodes([1, 3])), "weighted interleave:1,3"));
    }
    for (policy, expected) in cases {
        for sort in [Sort::Private, Sort::Shared] {
            let memory = placed(sort, 24, policy).unwrap();
            memory.touch();
            let maps = pages::numa_maps(memory.start(), memory.len());
            let said: Vec<_> = maps.iter().map(|map| map.policy.as_str()).collect();
            assert_eq!(said, [expected], "{sort:?}");
            // The counts of numa_maps are those of the pages.
            let found = memory.nodes();
            for (id, pages) in &maps[0].pages {
                assert_eq!(*pages, found.iter().filter(|on| *on == id).count() as u64, "{policy}: {maps:?}");
            }
        }
    }
}

#[test]
fn default_and_local_follow_the_processor() {
    guest!();
    for cpu in [0, 1] {
        let _cpu = OnCpu::of_node(cpu);
        for policy in [Policy::Default, Policy::Local] {
            for sort in Sort::BASE {
                let memory = placed(sort, 20, policy).unwrap();
                memory.touch();
                assert_eq!(memory.nodes(), [cpu; 20], "{policy}, {sort:?}");
            }
        }
    }
}

/// Local is local, whatever the thread's own policy is; default follows it.
#[test]
fn bind_begins_with_the_node_nearest_to_the_touching_processor() {
    guest!();
    for (cpu, set, expected) in [(0, nodes([1, 2, 3]), 3), (1, nodes([0, 1]), 1), (1, nodes([0, 2]), 0)] {
        let _cpu = OnCpu::of_node(cpu);
        for sort in Sort::BASE {
            let memory = placed(sort, 20, Policy::Bind(set)).unwrap();
            memory.touch();
            assert_eq!(memory.nodes(), [expected; 20], "{set} from node {cpu}, {sort:?}");
        }
    }
}

#[test]
fn a_home_node_is_where_looking_begins() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let set = nodes([0, 1, 2]);
    for policy in [Policy::Bind(set), Policy::PreferredMany(set)] {
        for home in set {
            for sort in Sort::BASE {
                let memory = placed(sort, 20, Placement::new(policy).home(home)).unwrap();
                memory.touch();
                assert_eq!(memory.nodes(), [home.get(); 20], "{policy}, home {home}, {sort:?}");
            }
        }
    }
    // A home outside of the nodes: the nearest to it.
    let memory =
        placed(Sort::Private, 20, Placement::new(Policy::Bind(nodes([0, 2]))).home(node(1))).unwrap();
    memory.touch();
    assert_eq!(memory.nodes(), [0; 20]);
    for policy in [Policy::Interleave(set), Policy::Local, Policy::Preferred(node(1))] {
        let error = placed(Sort::Private, 1, Placement::new(policy).home(node(1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{policy}");
    }
}

#[test]
fn weights_of_five_to_two() {
    guest!();
    if !has_weights() {
        let error = placed(Sort::Private, 1, Policy::WeightedInterleave(nodes([0, 1]))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.remedy().unwrap().contains("`areas doctor`"), "{error:#}");
        return;
    }
    let _weights = weights(&[5, 2]);
    for sort in Sort::BASE {
        let mut memory = placed(sort, 448, Policy::WeightedInterleave(nodes([0, 1]))).unwrap();
        memory.populate();
        let found = memory.nodes();
        let shares = [0, 1].map(|node| found.iter().filter(|&&on| on == node).count());
        assert_eq!(shares, [320, 128], "{sort:?}");
        assert_goes_round(&found, &[0, 0, 0, 0, 0, 1, 1], "5:2");
    }
    let topology = Topology::read().unwrap();
    assert_eq!([0, 1].map(|id| topology.node(node(id)).unwrap().weight), [Some(5), Some(2)]);
}
