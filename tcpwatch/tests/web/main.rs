//! The HTTP server of the library on loopback, with real sockets: what it answers, and what hostile
//! clients can do to a scrape beside them. Needs no privilege.

#[cfg(test)]
mod client;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod end;
#[cfg(test)]
mod greed;
#[cfg(test)]
mod misuse;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod press;
