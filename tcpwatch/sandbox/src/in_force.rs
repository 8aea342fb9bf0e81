//! What a process has given up and what it still has, by the kernel's account.

use std::fmt;

use rustix::thread::CapabilitySet;

use crate::{SandboxError, threads};

/// What is in force. Its text is for people: `user 65534, no capability, no new privileges, Landlock (ABI 7), seccomp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The lines of `/proc/PID/task/TID/status` (proc(5)) that every thread has.
    expected: Vec<String>,
    user: u32,
    capabilities: CapabilitySet,
    /// Nothing was asked for.
    is_off: bool,
    /// The version of Landlock.
    pub(crate) landlock: Option<i32>,
    pub(crate) seccomp: bool,
    /// What this machine or this process does not allow, and why.
    pub missing: Vec<String>,
}

/// Lines that threads inherit.
const CREDENTIALS: [&str; 8] =
    ["Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapAmb:", "NoNewPrivs:"];
/// `SECCOMP_MODE_FILTER`.
const FILTERED: &str = "Seccomp:\t2";

impl InForce {
    /// Nothing was given up.
    pub(crate) fn nothing() -> Result<Self, SandboxError> {
        Ok(Self { is_off: true, expected: Vec::new(), ..Self::of_credentials()? })
    }

    /// What the credentials of the calling thread are now.
    pub(crate) fn of_credentials() -> Result<Self, SandboxError> {
        let status = threads::own_status()?;
        let starts = |line: &&str| CREDENTIALS.iter().any(|name| line.starts_with(name));
        let permitted = line(&status, "CapPrm:");
        Ok(Self {
            expected: status.lines().filter(starts).map(str::to_owned).collect(),
            user: rustix::process::geteuid().as_raw(),
            capabilities: CapabilitySet::from_bits_retain(
                u64::from_str_radix(permitted, 16).unwrap_or(u64::MAX),
            ),
            is_off: false,
            landlock: None,
            seccomp: false,
            missing: Vec::new(),
        })
    }

    /// Does every thread have what this says, and no more? To be called again when all threads are there.
    ///
    /// # Errors
    /// If one has more, or `/proc` cannot be read.
    pub fn verify(&self) -> Result<(), SandboxError> {
        let seccomp = self.seccomp.then(|| FILTERED.to_owned());
        for (thread, status) in threads::statuses()? {
            for expected in self.expected.iter().chain(&seccomp) {
                if !status.lines().any(|found| found == expected) {
                    let name = expected.split_inclusive(':').next().unwrap_or_default();
                    let found = status.lines().find(|found| found.starts_with(name));
                    let found = found.unwrap_or("no such line").to_owned();
                    return Err(SandboxError::Thread { thread, found, expected: expected.clone() });
                }
            }
        }
        Ok(())
    }

    /// Whether it can still enter the network namespaces of other processes.
    #[must_use]
    pub fn enters_namespaces(&self) -> bool {
        self.capabilities.contains(CapabilitySet::SYS_ADMIN) && self.landlock.is_none()
    }
}

/// What follows a name in a status.
fn line<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off {
            write!(f, "off, ")?;
        }
        write!(f, "user {}, ", self.user)?;
        let names: Vec<_> =
            self.capabilities.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
        match names.len() {
            0 => write!(f, "no capability")?,
            1..=4 => write!(f, "{}", names.join(" "))?,
            number => write!(f, "{number} capabilities")?,
        }
        if self.is_off {
            return Ok(());
        }
        write!(f, ", no new privileges")?;
        if let Some(abi) = self.landlock {
            write!(f, ", Landlock (ABI {abi})")?;
        }
        if self.seccomp {
            write!(f, ", seccomp")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_more_than_is_said_is_named() {
        let mut in_force = InForce::of_credentials().unwrap();
        in_force.verify().unwrap();
        for expected in &mut in_force.expected {
            if expected.starts_with("CapEff:") {
                "CapEff:\t0000000000000bad".clone_into(expected);
            }
        }
        let error = in_force.verify().unwrap_err().to_string();
        assert!(error.contains("has CapEff:"), "{error}");
        assert!(error.contains("0bad is expected"), "{error}");
    }

    #[test]
    fn what_was_not_given_up_is_not_said_to_be() {
        let text = InForce::nothing().unwrap().to_string();
        assert!(text.starts_with("off, user "), "{text}");
        assert!(!text.contains("seccomp") && !text.contains("new privileges"), "{text}");
    }
}
