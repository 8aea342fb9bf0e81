//! The HTTP server without file descriptors. A process of its own, since all threads share their limit.

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
        net::TcpStream,
        sync::Arc,
        thread,
        time::{Duration, Instant},
    };

    use prometheus::TextEncoder;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use socket2::{Domain, Socket, Type};
    use tcpwatch_metrics::{
        collector::Collector as _,
        family::ScrapeFamily,
        web::{Counters, PageFormat, Pages, Server},
    };

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Own(Counters);

    impl Own {
        /// The only series of a family.
        fn count(&self, family: &str) -> u64 {
            let text = self.metrics(PageFormat::Text);
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(name, _)| *name == family).unwrap().1.parse().unwrap()
        }

        fn wait(&self, family: &str, enough: impl Fn(u64) -> bool) {
            let begun = Instant::now();
            while !enough(self.count(family)) {
                assert!(begun.elapsed() < PATIENCE, "{}", self.metrics(PageFormat::Text));
                thread::yield_now();
            }
        }
    }

    impl Pages for Own {
        fn metrics(&self, _format: PageFormat) -> String {
            let mut families = Vec::new();
            self.0.clone().collect(&mut families).unwrap();
            let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
            TextEncoder::new().encode_to_string(&families).unwrap()
        }

        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }

    fn ask(mut stream: &TcpStream) -> String {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    /// Opens all file descriptors that are left, and closes the last `spare`.
    fn exhaust(spare: usize) -> Vec<File> {
        let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - spare);
        taken
    }

    #[test]
    fn without_descriptors_an_idle_connection_makes_room_and_without_those_a_client_waits() {
        let limit = Rlimit { current: Some(200), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit).unwrap();
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let pages = Arc::new(Own(server.counters()));
        let own: Arc<Own> = Arc::clone(&pages);
        let server = server.spawn(own).unwrap();
        let address = server.addresses()[0].into();
        let sockets = [(); 4].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
        let [late, scrape, idle, other] = sockets;

        // The server has one descriptor left; the idle connection uses it.
        let taken = exhaust(1);
        idle.connect(&address).unwrap();
        other.connect(&address).unwrap();
        let idle = TcpStream::from(idle);
        idle.set_read_timeout(Some(PATIENCE)).unwrap();
        let gone = (&idle).read(&mut [0]);
        assert!(gone.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
        scrape.connect(&address).unwrap();
        let reply = ask(&scrape.into());
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(!reply.contains("{reason=\"cap\"} 0\n"), "{reply}");

        // None is left, and no open connection has one.
        drop(other);
        pages.wait("tcpwatch_http_open_connections", |open| open == 0);
        let rest = exhaust(0);
        let failed = pages.count("tcpwatch_http_accept_failures_total");
        late.connect(&address).unwrap();
        let late = TcpStream::from(late);
        pages.wait("tcpwatch_http_accept_failures_total", |count| count >= failed + 2);
        drop((taken, rest));
        let reply = ask(&late);
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
}
