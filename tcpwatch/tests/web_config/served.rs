//! The server of the library with a configuration file.

use std::{net::SocketAddr, path::Path, sync::Arc};

use tcpwatch_metrics::web::{
    ConfigError, Counters, Limits, PageFormat, Pages, Server, ServerHandle, WebConfig,
};

/// A page with one line.
pub struct OneLine;

impl Pages for OneLine {
    fn metrics(&self, _format: PageFormat) -> String {
        "tcpwatch_one 1\n".to_owned()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

pub struct Served {
    handle: ServerHandle,
    pub counters: Counters,
}

impl Served {
    pub fn with(config: &Path) -> Result<Self, ConfigError> {
        Self::limited(config, Limits::default())
    }

    pub fn limited(config: &Path, limits: Limits) -> Result<Self, ConfigError> {
        let config = WebConfig::read(config)?;
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server.with_config(Some(config)).with_limits(limits);
        let counters = server.counters();
        Ok(Self { handle: server.spawn(Arc::new(OneLine)).unwrap(), counters })
    }

    pub fn address(&self) -> SocketAddr {
        self.handle.addresses()[0]
    }
}
