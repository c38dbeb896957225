//! Several processes that publish, find, clone and drop under the same names at once: no error, no
//! wrong byte.

use crate::support::{Agent, Folder};

#[test]
fn processes_do_not_disturb_each_other() {
    const PROCESSES: u32 = 8;
    let folder = Folder::new();
    let mut agents: Vec<Agent> = (0..PROCESSES).map(|_| Agent::start(&folder)).collect();
    for (i, agent) in agents.iter_mut().enumerate() {
        agent.begin(&format!("storm storm-{i} {PROCESSES} 3000"));
    }
    for agent in &mut agents {
        let rounds: u32 = agent.end().unwrap().parse().unwrap();
        assert!(rounds > 0);
    }
    let mut reader = Agent::start(&folder);
    assert!(reader.list().is_empty());
    // Nor do those that are killed in the middle of it disturb those that go on.
    for (i, agent) in agents.iter_mut().enumerate() {
        agent.begin(&format!("storm storm-{i} {PROCESSES} 1000"));
    }
    let survivors = agents.split_off(4);
    std::thread::sleep(std::time::Duration::from_millis(200));
    for agent in agents {
        agent.kill();
    }
    for mut agent in survivors {
        agent.end().unwrap();
        agent.kill();
    }
    assert!(reader.list().is_empty());
    assert_eq!(folder.links(), []);
}
