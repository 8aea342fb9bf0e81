//! The HTTP server of the library on loopback, with real sockets: its responses, and the effect of hostile clients on a
//! scrape. Needs no privilege.

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
