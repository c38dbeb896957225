//! How all processes of a user come to one folder, though other users may own the names under which
//! it is looked for, and release them at any moment.
//!
//! No name is safe: another user can make any of them first, and remove it again while we look. So
//! a folder's name decides nothing, but who uses it. A process first *enters* a place, which others
//! see from then on (a shared `flock`), then looks at all other places, and *settles* only where
//! none of them is in use. Of two that enter different places, the one that enters later sees the
//! other one. So two never settle apart, whatever else is made and removed concurrently.
//!
//! If both see each other, the one at the place with the higher number leaves at once. The other
//! one cannot distinguish it from a process that has settled there before: it looks again a few
//! times, and leaves too if the other one stays. No process waits for another one longer than that.

/// What a look at a place finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    /// Nothing has that name.
    Missing,
    /// It is not ours, or cannot be made.
    Unusable,
    /// It is ours. No process of our namespace has entered it yet.
    Empty,
    /// It is ours, and a process of our namespace has entered it, and may have left.
    Visited,
}

/// The places at which a folder may be, in the order in which they are tried. Each call is one step
/// between which others may do anything.
pub(super) trait Places {
    type Error;
    /// A place's folder of our namespace, open.
    type Space;

    fn count(&self) -> usize;
    fn look(&mut self, place: usize) -> Result<Seen, Self::Error>;
    /// Whether a process of our namespace has entered it and is still there. Clears away what is
    /// left there if none is, and that is wanted.
    fn is_in_use(&mut self, place: usize, clear: bool) -> Result<bool, Self::Error>;
    /// Makes the place; whether it can be ours.
    fn make(&mut self, place: usize) -> Result<bool, Self::Error>;
    /// Opens our namespace's folder in a place that is ours, made where it is missing; `None` if
    /// the place was removed concurrently.
    fn open(&mut self, place: usize) -> Result<Option<Self::Space>, Self::Error>;
    /// Enters it; `false` if it was removed concurrently, or is being removed.
    fn enter(&mut self, space: &Self::Space) -> Result<bool, Self::Error>;
    /// Leaves it, and removes it if no other process is there.
    fn leave(&mut self, space: Self::Space);
    /// Before the next attempt.
    fn wait(&mut self, attempt: u32);
}

/// The outcome of meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met<S> {
    /// We have settled there.
    At(usize, S),
    /// No place is ours or can be made.
    NoPlace,
    /// Places came and went, or were entered concurrently, at each of many attempts.
    Restless,
}

/// How often places may come and go before a process gives up.
const MAX_ATTEMPTS: u32 = 100;
/// How often a process looks whether one at a place with a higher number leaves. (What is tried out
/// in all orders needs no more than two.)
const MAX_LOOKS: u32 = if cfg!(test) { 2 } else { 20 };

/// The place that processes use, as far as a look can say; of several that none uses, always the
/// same.
pub(super) fn choose<P: Places>(places: &mut P) -> Result<Option<usize>, P::Error> {
    let (mut visited, mut empty) = (Vec::new(), None);
    for place in 0..places.count() {
        match places.look(place)? {
            Seen::Visited => visited.push(place),
            Seen::Empty => empty = empty.or(Some(place)),
            Seen::Missing | Seen::Unusable => {}
        }
    }
    if let [_, _, ..] = *visited {
        for &place in &visited {
            if places.is_in_use(place, false)? {
                return Ok(Some(place));
            }
        }
    }
    Ok(visited.first().copied().or(empty))
}

/// Settles at the place of all others.
pub(super) fn meet<P: Places>(places: &mut P) -> Result<Met<P::Space>, P::Error> {
    for attempt in 1..=MAX_ATTEMPTS {
        if let Some(met) = try_once(places)? {
            return Ok(met);
        }
        places.wait(attempt);
    }
    Ok(Met::Restless)
}

/// The same, once. `None`: what was chosen was removed concurrently, or other processes are
/// elsewhere.
fn try_once<P: Places>(places: &mut P) -> Result<Option<Met<P::Space>>, P::Error> {
    let mut chosen = choose(places)?;
    if chosen.is_none() {
        if !make_any(places)? {
            return Ok(Some(Met::NoPlace));
        }
        // From the first on: another process may have made another one.
        chosen = choose(places)?;
    }
    let Some(place) = chosen else { return Ok(None) };
    let Some(space) = places.open(place)? else { return Ok(None) };
    if !places.enter(&space)? {
        return Ok(None);
    }
    let settled = settles(places, place);
    match settled {
        Ok(true) => return Ok(Some(Met::At(place, space))),
        Ok(false) | Err(_) => places.leave(space),
    }
    settled.map(|_| None)
}

/// Makes the first place that can be made.
fn make_any<P: Places>(places: &mut P) -> Result<bool, P::Error> {
    for place in 0..places.count() {
        if places.look(place)? != Seen::Unusable && places.make(place)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process that has entered a place stays there.
fn settles<P: Places>(places: &mut P, place: usize) -> Result<bool, P::Error> {
    for attempt in 1..=MAX_LOOKS {
        let mut other = None;
        for candidate in (0..places.count()).filter(|&candidate| candidate != place) {
            if places.is_in_use(candidate, true)? {
                other = Some(candidate);
                break;
            }
        }
        match other {
            None => return Ok(true),
            Some(other) if other < place => return Ok(false),
            Some(_) => places.wait(attempt),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
