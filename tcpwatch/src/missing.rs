//! What a command says on stderr of the events that it cannot see here.

use tcpwatch::cli::exit;
use tcpwatch_kernel::probe::Probes;

/// Says what this kernel or these privileges do not allow.
pub(crate) fn say(probes: &Probes) {
    for (tells, why) in probes.missing() {
        exit::say(&format!("tcpwatch: not seen: {tells}: {why}\n"));
    }
}
