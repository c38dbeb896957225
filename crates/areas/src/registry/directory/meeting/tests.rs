//! All orders of steps of a few processes and an enemy: the protocol itself runs, on places that
//! are a table.
//!
//! A process is a function of the answers that it has had. So a state of the whole is the table and
//! each process's answers, and a step of a process is to run it from its beginning with these
//! answers and one more. States that were met before are not gone through again.

use std::collections::HashSet;

use super::{Met, Places, Seen, choose, try_once};

/// A folder of ours at a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Own {
    /// Our namespace's folder in it: which one, and the processes that hold the lock on it.
    space: Option<(u8, Vec<usize>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Missing,
    Foreign,
    Ours(Own),
}

/// How many folders of our namespace are distinguished. Counted round, so that there is an end of
/// states: at worst a process enters a later one than it has opened, which adds orders and takes
/// none away.
const GENERATIONS: u8 = 3;

/// What all can see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    places: Vec<Place>,
    made: u8,
    /// What the enemy, and those who kill, may still do.
    moves: u8,
    kills: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Seen(Seen),
    Yes(bool),
    Opened(Option<(usize, u8)>),
}

/// The next step is not to be taken yet.
#[derive(Debug)]
struct Stop;

/// One process's view: the answers that it has had, and the world for the one step that is new.
struct View<'a> {
    id: usize,
    log: &'a [Answer],
    at: usize,
    world: &'a mut World,
    new: Option<Answer>,
    /// Whether a step behind the new one is wanted.
    stopped: bool,
}

impl View<'_> {
    fn step(&mut self, act: impl FnOnce(&mut World, usize) -> Answer) -> Result<Answer, Stop> {
        if let Some(&known) = self.log.get(self.at) {
            self.at += 1;
            return Ok(known);
        }
        if self.new.is_some() {
            self.stopped = true;
            return Err(Stop);
        }
        let answer = act(self.world, self.id);
        self.new = Some(answer);
        Ok(answer)
    }

    fn yes(&mut self, act: impl FnOnce(&mut World, usize) -> bool) -> Result<bool, Stop> {
        match self.step(|world, id| Answer::Yes(act(world, id)))? {
            Answer::Yes(yes) => Ok(yes),
            other => panic!("{other:?}"),
        }
    }
}

fn space_of(world: &mut World, place: usize) -> Option<&mut (u8, Vec<usize>)> {
    match &mut world.places[place] {
        Place::Ours(own) => own.space.as_mut(),
        _ => None,
    }
}

impl Places for View<'_> {
    type Error = Stop;
    type Space = (usize, u8);

    fn count(&self) -> usize {
        self.world.places.len()
    }

    fn look(&mut self, place: usize) -> Result<Seen, Stop> {
        let seen = self.step(|world, _| {
            Answer::Seen(match &world.places[place] {
                Place::Missing => Seen::Missing,
                Place::Foreign => Seen::Unusable,
                Place::Ours(Own { space: None }) => Seen::Empty,
                Place::Ours(_) => Seen::Visited,
            })
        })?;
        match seen {
            Answer::Seen(seen) => Ok(seen),
            other => panic!("{other:?}"),
        }
    }

    fn is_in_use(&mut self, place: usize, clear: bool) -> Result<bool, Stop> {
        self.yes(|world, _| match space_of(world, place) {
            Some((_, users)) if !users.is_empty() => true,
            Some(_) => {
                if let (Place::Ours(own), true) = (&mut world.places[place], clear) {
                    own.space = None;
                }
                false
            }
            None => false,
        })
    }

    fn make(&mut self, place: usize) -> Result<bool, Stop> {
        self.yes(|world, _| {
            if world.places[place] == Place::Missing {
                world.places[place] = Place::Ours(Own { space: None });
            }
            true
        })
    }

    fn open(&mut self, place: usize) -> Result<Option<Self::Space>, Stop> {
        let opened = self.step(|world, _| {
            let made = (world.made + 1) % GENERATIONS;
            Answer::Opened(match &mut world.places[place] {
                Place::Ours(own) => {
                    if own.space.is_none() {
                        world.made = made;
                    }
                    let (generation, _) = own.space.get_or_insert((made, Vec::new()));
                    Some((place, *generation))
                }
                _ => None,
            })
        })?;
        match opened {
            Answer::Opened(opened) => Ok(opened),
            other => panic!("{other:?}"),
        }
    }

    fn enter(&mut self, space: &Self::Space) -> Result<bool, Stop> {
        let (place, opened) = *space;
        self.yes(|world, id| match space_of(world, place) {
            Some((generation, users)) if *generation == opened => {
                users.push(id);
                users.sort_unstable();
                true
            }
            _ => false,
        })
    }

    fn leave(&mut self, space: Self::Space) {
        let (place, _) = space;
        let left = self.yes(|world, id| {
            if let Some((_, users)) = space_of(world, place) {
                users.retain(|&user| user != id);
                if users.is_empty()
                    && let Place::Ours(own) = &mut world.places[place]
                {
                    own.space = None;
                }
            }
            true
        });
        // That it is not to be done yet shows in `stopped`.
        drop(left);
    }

    fn wait(&mut self, _attempt: u32) {}
}

/// A process so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Process {
    /// The answers that it has had.
    Under(Vec<Answer>),
    Settled(usize),
    NoPlace,
    Killed,
}

type State = (World, Vec<Process>);

/// One more step of a process. An attempt that ends in nothing is followed by one that knows
/// nothing of it.
fn step(world: &World, id: usize, log: &[Answer]) -> (World, Process) {
    let mut world = world.clone();
    let mut view = View { id, log, at: 0, world: &mut world, new: None, stopped: false };
    let met = try_once(&mut view);
    let (new, stopped) = (view.new, view.stopped);
    let process = match met {
        _ if stopped => {
            let mut log = log.to_vec();
            log.extend(new);
            Process::Under(log)
        }
        Ok(Some(Met::At(place, _))) => Process::Settled(place),
        Ok(Some(Met::NoPlace)) => Process::NoPlace,
        Ok(None) => Process::Under(Vec::new()),
        other => panic!("{other:?}"),
    };
    (world, process)
}

fn settled(processes: &[Process]) -> Vec<usize> {
    let mut places: Vec<usize> = processes
        .iter()
        .filter_map(|process| match process {
            Process::Settled(place) => Some(*place),
            _ => None,
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// All states that come of one; how many there were, and in how many all had come to an end.
fn explore(first: State, check: &mut dyn FnMut(&State)) -> (usize, usize) {
    let mut known = HashSet::from([first.clone()]);
    let mut open = vec![first];
    let mut ends = 0;
    while let Some(state) = open.pop() {
        check(&state);
        let (world, processes) = &state;
        let mut next = Vec::new();
        for (id, process) in processes.iter().enumerate() {
            let Process::Under(log) = process else { continue };
            let (stepped, process) = step(world, id, log);
            let mut others = processes.clone();
            others[id] = process;
            next.push((stepped, others));
            if world.kills > 0 {
                let (mut world, mut processes) = (world.clone(), processes.clone());
                world.kills -= 1;
                for place in 0..world.places.len() {
                    if let Some((_, users)) = space_of(&mut world, place) {
                        users.retain(|&user| user != id);
                    }
                }
                processes[id] = Process::Killed;
                next.push((world, processes));
            }
        }
        if next.is_empty() {
            ends += 1;
        }
        if world.moves > 0 && !next.is_empty() {
            for place in 0..world.places.len() {
                let to = match world.places[place] {
                    Place::Missing => Place::Foreign,
                    Place::Foreign => Place::Missing,
                    Place::Ours(_) => continue,
                };
                let mut world = world.clone();
                world.moves -= 1;
                world.places[place] = to;
                next.push((world, processes.clone()));
            }
        }
        open.extend(next.into_iter().filter(|state| known.insert(state.clone())));
    }
    (known.len(), ends)
}

fn begin(places: &[Place], processes: usize, moves: u8, kills: u8) -> State {
    let world = World { places: places.to_vec(), made: 0, moves, kills };
    (world, vec![Process::Under(Vec::new()); processes])
}

/// Two never settle apart, and who looks for the first time then comes to the same place.
fn all_meet((world, processes): &State) {
    let places = settled(processes);
    assert!(places.len() <= 1, "{world:?} {processes:?}");
    if let [place] = *places
        && processes.iter().all(|process| !matches!(process, Process::Under(_)))
    {
        // Who only looks now, sees the same: one answer after the other, as nothing else happens.
        let mut log = Vec::new();
        let chosen = loop {
            let mut world = world.clone();
            let mut view = View { id: 99, log: &log, at: 0, world: &mut world, new: None, stopped: false };
            match choose(&mut view) {
                Ok(chosen) => break chosen,
                Err(Stop) => {
                    let new = view.new;
                    log.extend(new);
                }
            }
        };
        assert_eq!(chosen, Some(place), "{world:?}");
    }
}

/// In all orders: how many states that is at least, so that a model in which nothing happens is
/// noticed.
fn explored(first: State, at_least: usize) {
    let start = format!("{:?}, {} processes", first.0.places, first.1.len());
    let (states, ends) = explore(first, &mut all_meet);
    println!("{start}: {states} states, {ends} ends");
    assert!(states >= at_least && ends > 0, "{states} {ends}");
}

#[test]
fn two_processes_and_an_enemy() {
    use Place::{Foreign, Missing};
    explored(begin(&[Missing, Missing], 2, 2, 0), 10_000);
    explored(begin(&[Foreign, Missing], 2, 2, 0), 10_000);
}

/// What was left by processes that are gone: a folder of ours, with no process in it, at each
/// place.
#[test]
fn two_processes_where_folders_are_left() {
    let empty = Place::Ours(Own { space: None });
    let left = Place::Ours(Own { space: Some((0, Vec::new())) });
    explored(begin(&[left.clone(), left.clone()], 2, 0, 0), 50);
    explored(begin(&[empty, left.clone()], 2, 0, 0), 30);
    explored(begin(&[Place::Foreign, left], 2, 2, 0), 200);
}

#[test]
fn two_processes_that_may_be_killed_and_an_enemy() {
    explored(begin(&[Place::Foreign, Place::Missing], 2, 1, 1), 1000);
}
