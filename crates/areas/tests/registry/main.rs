//! The registry among real processes: each claim about what lives, dies, is found and remains is
//! made by one process and checked by another.
//!
//! A test never calls the registry itself, because a registry is a property of a process. It starts
//! *agents*: this very binary, which takes commands (`support`). Each test has a folder of its own
//! for `AREAS_DIR`, so that all run at once; a test that looks at what the whole machine shares
//! says so by `machine_` in its name.

mod announced;
mod control;
mod descriptors;
mod ends;
mod exclusive;
mod exec;
mod exhausted;
mod folder;
mod forged;
mod fork;
mod hostile;
mod ids;
mod keeper;
mod killed;
mod locked_memory;
mod machine_memory;
mod missing;
mod names;
mod namespaces;
mod news;
mod notes;
mod pid;
mod removed;
mod resizing;
mod retired;
mod scale;
mod squatters;
mod storm;
mod strangers;
mod support;
mod threads;
mod transfer;
mod transfer_forked;
mod transfer_hostile;
mod transfer_ids;
mod transfer_refused;
mod transfer_within;
mod twins;
mod unpublished;
mod unreadable;
mod users;
mod wait;
mod walking;
