//! What to do about a failure, and the facts that lead there: one sentence each, in one place.
