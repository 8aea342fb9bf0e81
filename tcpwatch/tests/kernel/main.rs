//! tcpwatch's output, compared with the running kernel. Needs root; run with `--test-threads=1`.
//!
//! Every scenario has a network namespace of its own, real sockets in it, and the real program
//! watching it. Scenarios that take long run side by side inside one test.

#[cfg(test)]
#[macro_use]
#[path = "../root/mod.rs"]
mod root;

#[cfg(test)]
#[path = "../carried/mod.rs"]
mod carried;

#[cfg(test)]
#[path = "../coverage/mod.rs"]
mod coverage;

#[cfg(test)]
#[path = "../ss/mod.rs"]
mod ss;

#[cfg(test)]
mod harness;

#[cfg(test)]
mod again;
#[cfg(test)]
mod agreement;
#[cfg(test)]
mod before;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod fit;
#[cfg(test)]
#[cfg(test)]
mod gone;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod list;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod load;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod mini;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod places;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod running;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod stays;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod tap;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod whole_machine;
#[cfg(test)]
mod why;
