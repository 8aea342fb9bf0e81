//! What is in `deploy/` for Prometheus and Grafana, checked by a real Prometheus.
//!
//! `cargo xtask test deploy` brings Prometheus along and runs this as root.

#[cfg(test)]
mod deploy {
    mod dashboard;
    mod files;
    mod rules;
    mod tools;
}
