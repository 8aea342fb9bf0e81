//! The signals that ask for an orderly end, with everything written that is known by then.

use std::{fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGINT, SIGTERM, or SIGHUP, which comes when the terminal goes away.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing if whoever started this program has it ignored, as `nohup` does.
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// From now on these signals no longer kill this process.
    ///
    /// # Errors
    /// If the kernel or the runtime refuses.
    pub fn catch() -> io::Result<Self> {
        // A missing /proc is reported by what needs it more.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = is_ignored(SignalKind::hangup(), &status);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!ignored).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Returns when one of them has come.
    pub async fn asked(&mut self) {
        let Self { interrupt, terminate, hang_up } = self;
        let hung_up = async {
            match hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// `SigIgn` in `/proc/PID/status` (proc(5)) has a bit for each signal that is ignored, the lowest for
/// number 1.
fn is_ignored(kind: SignalKind, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(kind.as_raw_value() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_ignored_if_its_bit_is_set() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000003\nSigCgt:\t1\n";
        assert!(is_ignored(SignalKind::hangup(), status), "number 1");
        assert!(is_ignored(SignalKind::interrupt(), status), "number 2");
        assert!(!is_ignored(SignalKind::terminate(), status), "number 15");
        assert!(!is_ignored(SignalKind::hangup(), ""), "no such line");
    }
}
