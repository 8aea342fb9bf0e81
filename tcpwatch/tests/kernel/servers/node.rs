//! Node's module `cluster`: the primary process listens, accepts, and hands each connection to a worker by
//! `SCM_RIGHTS`.

use std::fs;

use super::{
    agreement::{PORT, Talk, compare},
    http, needs_packages,
    system::{NOBODY, System},
};

const WORKERS: &str = r#"
const cluster = require("cluster"), http = require("http");
if (cluster.isPrimary) {
    for (let number = 0; number < 4; number++) cluster.fork();
} else {
    const server = http.createServer((request, response) => response.end("hello\n"));
    server.keepAliveTimeout = server.headersTimeout = server.requestTimeout = 600_000;
    server.listen({ host: "127.0.0.1", port: PORT });
}
"#;

#[test]
fn workers_of_a_node_cluster_own_what_their_primary_has_handed_to_them() {
    needs_packages!();
    let system = System::of("nodejs");
    let script = WORKERS.replace("PORT", &PORT.to_string());
    fs::write(system.work().join("cluster.js"), script).unwrap();
    let talk = Talk { name: "node", connections: 400, ask: http::ask, end: http::end };
    compare(&talk, |netns| system.start(netns, NOBODY, &["node", "/work/cluster.js"]));
}
