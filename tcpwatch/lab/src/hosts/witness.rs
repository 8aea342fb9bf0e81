//! Lists a host's sockets by `sock_diag`, inside its network namespace, independently of every hook.

use tcpwatch_core::event::{KnownSocket, Netns};
use tcpwatch_kernel::{
    probe::filters::FamilyFilter,
    source::snapshot::{DumpError, Lister},
};

/// The `sock_diag` socket of one host.
#[derive(Debug)]
pub(super) struct HostSockDiag {
    lister: Lister,
    family: FamilyFilter,
}

impl HostSockDiag {
    /// The calling thread must be inside `netns`.
    pub(super) fn new(netns: Netns, family: FamilyFilter) -> Result<Self, DumpError> {
        Ok(Self { lister: Lister::new(netns)?, family })
    }

    pub(super) fn list(&mut self) -> Result<Vec<KnownSocket>, DumpError> {
        let mut sockets = Vec::new();
        self.lister.list(self.family, &mut sockets)?;
        Ok(sockets)
    }

    /// Destroys every socket, as far as the kernel can.
    pub(super) fn clear(&mut self) -> Result<(), DumpError> {
        for socket in self.list()? {
            self.lister.destroy(&socket)?;
        }
        Ok(())
    }
}
