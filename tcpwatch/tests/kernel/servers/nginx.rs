//! nginx: the master listens, and workers that it has forked before accept.

use std::fs;

use super::{
    agreement::{PORT, Talk, compare},
    http, needs_packages,
    system::{ROOT, System},
};

/// Its files, and how it is started.
pub(super) fn installed() -> System {
    on(&format!("127.0.0.1:{PORT}"))
}

/// The same with another argument of `listen`.
pub(super) fn on(listen: &str) -> System {
    with(listen, "return 200 \"hello\\n\";")
}

/// One that asks a server behind it, and gives up after 1 s.
pub(super) fn proxy_to(server: &str) -> System {
    let location = format!("proxy_pass http://{server}; proxy_read_timeout 1s;");
    with(&format!("127.0.0.1:{PORT}"), &location)
}

fn with(listen: &str, location: &str) -> System {
    let system = System::of("nginx-light");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path /work/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; worker_processes 4; user nobody nogroup; pid /work/pid; error_log stderr;
         events {{ worker_connections 1000; }}
         http {{
             access_log off; keepalive_timeout 600; {temporary}
             server {{ listen {listen}; location / {{ {location} }} }}
         }}"
    );
    fs::write(system.work().join("nginx.conf"), configuration).unwrap();
    system
}

pub(super) const PROGRAM: [&str; 7] =
    ["nginx", "-p", "/work", "-e", "stderr", "-c", "/work/nginx.conf"];

#[test]
fn workers_of_a_prefork_nginx_own_what_ss_says_that_they_hold() {
    needs_packages!();
    let system = installed();
    let talk = Talk { name: "nginx", connections: 400, ask: http::ask, end: http::end };
    compare(&talk, |netns| system.start(netns, ROOT, &PROGRAM));
}
