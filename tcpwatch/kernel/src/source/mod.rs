//! Where events come from: the kernel's ring, the sockets that existed at the start, recordings; and
//! the sysctls about waiting.

pub mod ancestry;
pub mod cgroup_paths;
pub mod cgroups;
pub mod complaints;
pub mod container_names;
pub mod containers;
pub mod drain;
pub mod foreign;
mod frame;
pub mod inquirer;
pub mod kept_namespaces;
pub mod local_ports;
pub mod netstat;
pub mod packed;
pub mod recorder;
pub mod recording;
pub mod recording_file;
pub mod recording_input;
mod recording_lines;
mod recording_output;
mod recording_parts;
pub mod ring;
pub mod snapshot;
pub mod sysctls;
pub mod witness;
