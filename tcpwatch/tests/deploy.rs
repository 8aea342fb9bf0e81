//! Checks the files in `deploy/` for Prometheus and Grafana with a real Prometheus.
//!
//! `cargo xtask test deploy` provides Prometheus and runs this as root.

#[cfg(test)]
#[expect(unused_macros, reason = "needs_prometheus asks for root, too")]
#[path = "root/mod.rs"]
mod root;

#[cfg(test)]
mod deploy {
    mod dashboard;
    mod events;
    mod files;
    mod http;
    mod live;
    mod rules;
    mod stage;
    mod tools;

    #[path = "../coverage/mod.rs"]
    mod coverage;
    #[expect(dead_code, reason = "the kernel tests use all of it")]
    #[path = "../kernel/harness/netns.rs"]
    mod netns;
    #[expect(dead_code, reason = "the kernel tests use all of it")]
    #[path = "../kernel/harness/sockets.rs"]
    mod sockets;
}
