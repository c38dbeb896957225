//! How of several that want a name for themselves alone at most one gets it: without mutual
//! exclusion, and without any process waiting forever.
//!
//! A process that wants it *claims* it: a record in its own table that other claimants see, and
//! that is not found. Then it looks at all tables. A process that has the name has won before.
//! Another that claims it may not have seen us, or we not it:
//!
//! - Of two claims, whichever comes to be seen later is seen by the maker of the earlier one, or
//!   sees that one: both look *after* they can be seen. So never do two look and find no other.
//! - A claim that was not there at our first look is of a process that sees ours: it is in no one's
//!   way.
//! - One that was there may be of a process that has not seen ours. The younger of the two
//!   withdraws and looks again; the older one waits until the other has withdrawn or got the name.
//!
//! A claim goes with its process. One that stays although its process lives (stopped, or hostile)
//! is waited for until the caller's timeout, and then reported.
//!
//! Nothing but the order of the steps is here, over whatever tables there are, so that it can be
//! tried out in all orders: `models/` does that, with this very file.

/// What others have of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen<H, C> {
    /// Another process has it.
    Taken(H),
    /// No process has it; these claim it.
    Claimed(Vec<C>),
}

/// A process that wants the name, and what it can do and ask. Each call is a step between which
/// others may do anything.
pub(crate) trait Contender {
    type Error;
    /// The owner of the name.
    type Holder;
    /// A claimant: the older one is less, and no two are equal.
    type Claim: Copy + Ord;

    /// Lets others see that we claim it, before all that we see behind this.
    fn claim(&mut self) -> Result<Self::Claim, Self::Error>;
    /// What all others have of it.
    fn look(&mut self) -> Result<Seen<Self::Holder, Self::Claim>, Self::Error>;
    /// Makes of our claim that we have it; `false` where others may not have seen it all the while.
    fn confirm(&mut self) -> Result<bool, Self::Error>;
    /// Takes our claim back.
    fn withdraw(&mut self);
    /// Lets others get on; `false` if the timeout has passed.
    fn wait(&mut self) -> bool;
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<H, C> {
    /// The name is ours.
    Ours,
    /// Another process has it.
    Taken(H),
    /// Another process claims it, and does not go on.
    Stuck(C),
    /// What the claim stands in was taken away again and again.
    Restless,
}

/// How often others may not have seen our claim all the while.
const MAX_UNSEEN: u32 = 100;

/// The outcome of a claim.
enum Ended<H, C> {
    With(Outcome<H, C>),
    /// An older one was there: ours is to be withdrawn, and all begins again.
    BehindOlder(C),
    /// Others may not have seen it: the same.
    Unseen,
}

/// Gets the name, or returns its owner.
pub(crate) fn contend<C: Contender>(who: &mut C) -> Result<Outcome<C::Holder, C::Claim>, C::Error> {
    let mut unseen = 0;
    loop {
        // Before a claim of ours is in another's way.
        match who.look()? {
            Seen::Taken(holder) => return Ok(Outcome::Taken(holder)),
            Seen::Claimed(claims) => {
                if let Some(&first) = claims.iter().min() {
                    if who.wait() {
                        continue;
                    }
                    return Ok(Outcome::Stuck(first));
                }
            }
        }
        let ours = who.claim()?;
        let ended = claimed(who, ours);
        if !matches!(ended, Ok(Ended::With(Outcome::Ours))) {
            who.withdraw();
        }
        match ended? {
            Ended::With(outcome) => return Ok(outcome),
            Ended::BehindOlder(older) if !who.wait() => return Ok(Outcome::Stuck(older)),
            Ended::BehindOlder(_) => {}
            Ended::Unseen => {
                unseen += 1;
                if unseen >= MAX_UNSEEN {
                    return Ok(Outcome::Restless);
                }
            }
        }
    }
}

/// The same, once others can see our claim.
fn claimed<C: Contender>(who: &mut C, ours: C::Claim) -> Result<Ended<C::Holder, C::Claim>, C::Error> {
    let mut before_us: Option<Vec<C::Claim>> = None;
    loop {
        let claims = match who.look()? {
            Seen::Taken(holder) => return Ok(Ended::With(Outcome::Taken(holder))),
            Seen::Claimed(claims) => claims,
        };
        let waited_for = match &before_us {
            None => claims,
            Some(before) => claims.into_iter().filter(|claim| before.contains(claim)).collect(),
        };
        let Some(&first) = waited_for.iter().min() else {
            return Ok(if who.confirm()? { Ended::With(Outcome::Ours) } else { Ended::Unseen });
        };
        if first < ours {
            return Ok(Ended::BehindOlder(first));
        }
        if !who.wait() {
            return Ok(Ended::With(Outcome::Stuck(first)));
        }
        before_us = Some(waited_for);
    }
}
