//! The web configuration file: answers of the server, beside those of `node_exporter` for the same file, and clients
//! that misuse what it asks for. Needs no privilege.
//!
//! `cargo xtask test deploy` provides `node_exporter`.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod client;
#[cfg(test)]
mod misuse;
#[cfg(test)]
mod node_exporter;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod served;
#[cfg(test)]
mod table;
