//! The operations of the storm, and which errors each of them may meet.
//!
//! An error that is not listed here is a finding. The lists are short on purpose: what is allowed
//! is what another process may have done at that very moment, and nothing that is only
//! inconvenient.

use areas::ErrorKind;

macro_rules! operations {
    ($($variant:ident $name:literal: $($kind:ident)*;)*) => {
        /// What a process of the storm does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Op {
            $($variant,)*
        }

        impl Op {
            pub(crate) const ALL: &[Op] = &[$(Op::$variant,)*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Op::$variant => $name,)*
                }
            }

            /// The kinds of error that others can cause by what they may do.
            fn allowed(self) -> &'static [ErrorKind] {
                match self {
                    $(Op::$variant => &[$(ErrorKind::$kind,)*],)*
                }
            }
        }
    };
}

operations! {
    CreateFixed "create fixed":;
    CreateGrowable "create growable":;
    CreateResizable "create resizable":;
    CreatePrivate "create private":;
    CreateLocked "create locked":;
    CreatePlaced "create placed":;
    // A clone that no process could ask, as it was not published, while another holder grew the
    // area beyond its addresses.
    Publish "publish": AddressInUse;
    // The holder dropped it, or died.
    Find "find": NoSuchArea;
    // The same; that an area which stays is found is checked apart.
    Get "get": NoSuchArea;
    List "list":;
    Info "info": NoSuchArea;
    // Its holder froze it since it was looked up, or holds it for reading only.
    CloneWritable "clone": NoSuchArea Frozen ReadOnly;
    CloneReadOnly "clone read-only": NoSuchArea;
    // The same; or another holder grew it beyond the clone's addresses before that was published.
    CloneResizable "clone resizable": NoSuchArea Frozen ReadOnly AddressInUse;
    CloneFrozen "clone frozen": NoSuchArea;
    // Its addresses are taken here: that is the usual answer.
    CloneSameAddress "clone at its address": NoSuchArea AddressInUse;
    Write "write":;
    // A process truncated it concurrently.
    WriteResizable "write resizable": OutOfRange;
    Check "check":;
    // A process froze it.
    Grow "grow": Frozen;
    // The same; and growth beyond the reserve, with a clone in the way.
    Resize "resize": Frozen AddressInUse;
    LoneResize "resize alone":;
    // A process can write it; a process was faster; a process made it larger, and here is no room
    // for the rest: then it is frozen all the same.
    Freeze "freeze": Busy Frozen AddressInUse;
    Protect "protect": Frozen;
    At "at":;
    // No process published it within a few milliseconds.
    Wait "wait": TimedOut;
    // A process has it, or is just taking it and is held up.
    Exclusive "take a name alone": NameTaken Busy;
    // Its holder dropped it, or died; another process is just making one. (The name goes to a new
    // one where the folder was removed.)
    Locks "find a mutex": NoSuchArea NameTaken Busy;
    Lock "lock":;
    WaitForChild "wait for a child": TimedOut;
    // Its holder dropped it, or died. (That what others hold is in the way is not an error.)
    Move "move": NoSuchArea;
    Verify "verify":;
    Keep "keep":;
    Drop "drop":;
    DropAll "drop all":;
    Churn "churn":;
    GoRound "ids go round":;
    Fork "fork":;
    ForkThreaded "fork among threads":;
    Exec "exec":;
    Exit "exit":;
    ExitTidily "drop all and exit":;
    Abort "abort":;
    KillSelf "kill oneself":;
}

/// Outcomes of an operation: good, and each kind of error.
pub(crate) const OUTCOMES: usize = ErrorKind::ALL.len() + 1;

/// The place of an outcome among the counts of an operation.
pub(crate) fn outcome(kind: Option<ErrorKind>) -> usize {
    kind.map_or(0, |kind| kind as usize + 1)
}

/// What an outcome is called.
pub(crate) fn outcome_name(outcome: usize) -> String {
    match outcome.checked_sub(1) {
        None => "ok".to_owned(),
        Some(at) => format!("{:?}", ErrorKind::ALL[at]),
    }
}

impl Op {
    pub(crate) fn index(self) -> usize {
        Op::ALL.iter().position(|&op| op == self).unwrap_or(0)
    }

    pub(crate) fn allows(self, kind: ErrorKind) -> bool {
        self.allowed().contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_places_of_their_own() {
        let places: Vec<usize> = ErrorKind::ALL.iter().map(|&kind| outcome(Some(kind))).collect();
        assert_eq!(places, (1..=ErrorKind::ALL.len()).collect::<Vec<_>>());
        assert_eq!((outcome(None), outcome_name(0)), (0, "ok".to_owned()));
        assert_eq!(outcome_name(outcome(Some(ErrorKind::Frozen))), "Frozen");
    }

    #[test]
    fn what_no_other_process_can_cause_is_not_allowed() {
        assert!(!Op::CreateFixed.allows(ErrorKind::NoMemory) && !Op::Publish.allows(ErrorKind::Registry));
        assert!(!Op::Find.allows(ErrorKind::Unreadable) && Op::Find.allows(ErrorKind::NoSuchArea));
    }
}
