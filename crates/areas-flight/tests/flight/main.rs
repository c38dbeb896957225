//! Areas from one machine to another: the commands as they are used, between registries that do not
//! see each other, with networks and servers that fail.

mod encrypted;
mod full;
mod harness;
mod hostile;
mod memory;
mod networks;
mod proxy;
mod refusals;
mod slow;
mod transfers;
