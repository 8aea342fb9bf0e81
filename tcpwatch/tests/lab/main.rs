//! The laboratory, with real processes, namespaces and sockets: its hosts, and `tcpwatch lab` as a
//! user runs it. Needs root.

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
mod calls;
#[cfg(test)]
mod course;
#[cfg(test)]
mod from;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod judged;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod load;
#[cfg(test)]
mod misuse;
#[cfg(test)]
mod older;
#[cfg(test)]
mod program;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod second;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod written;
