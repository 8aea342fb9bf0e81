//! The hosts of the laboratory, with real processes, namespaces and sockets. Needs root.

#[cfg(test)]
#[macro_use]
mod harness;

#[cfg(test)]
mod calls;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod signals;
