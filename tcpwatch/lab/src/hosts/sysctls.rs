//! Sets the sysctls of a host, from inside its network namespace, and reads each one back.

use std::{fs, io, path::Path};

use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::error::HostsError;
use crate::{host::Host, lacking};

const DIRECTORY: &str = "/proc/sys/net";

/// Sysctls for IPv4 and IPv6 that make runs repeatable.
const ALWAYS: [(&str, &str); 1] = [
    // What one connection learns about the path must not change the next one.
    ("ipv4/tcp_no_metrics_save", "1"),
];

/// An address can be used at once, and nothing but TCP is on the link.
const V6: [(&str, &str); 6] = [
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/autoconf", "0"),
];

/// Sets them in the network namespace of the calling thread, which is the host's.
///
/// `names` are below `/proc/sys/net/ipv4`.
pub(super) fn pin<'a>(
    host: Host,
    family: FamilyFilter,
    names: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), HostsError> {
    let set = |path: &str, value: &str| {
        let name = || format!("net.{}", path.replace('/', "."));
        write(Path::new(DIRECTORY), path, value).map_err(|refusal| match refusal {
            SysctlRefusal::Locked(source) => {
                HostsError::SysctlsLocked { host, name: name(), source }
            }
            SysctlRefusal::Other(why) => {
                HostsError::Sysctl { host, name: name(), value: value.to_owned(), why }
            }
        })
    };
    for (path, value) in ALWAYS {
        set(path, value)?;
    }
    if family == FamilyFilter::V6 {
        for (path, value) in V6 {
            set(path, value)?;
        }
    } else if fs::metadata(format!("{DIRECTORY}/ipv6")).is_ok() {
        set("ipv6/conf/all/disable_ipv6", "1")?;
    }
    for (name, value) in names {
        if lacking::is_needless(name, value) {
            continue;
        }
        set(&format!("ipv4/{}", name.replace('.', "/")), value)?;
    }
    Ok(())
}

/// Why a sysctl does not have its value.
#[derive(Debug)]
enum SysctlRefusal {
    /// No sysctl could be written.
    Locked(io::Error),
    Other(String),
}

impl From<String> for SysctlRefusal {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

fn write(directory: &Path, name: &str, value: &str) -> Result<(), SysctlRefusal> {
    if name.split('/').any(|part| part.is_empty() || part == "..") {
        return Err("that is not the name of a sysctl".to_owned().into());
    }
    let path = directory.join(name);
    match fs::OpenOptions::new().write(true).open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(
                "this kernel has no such sysctl in a network namespace of its own; it may \
                        be misspelt, newer than the kernel, or one for the whole machine"
                    .to_owned()
                    .into(),
            );
        }
        Err(error) => return Err(SysctlRefusal::Locked(error)),
    }
    fs::write(&path, value).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "the kernel refuses this value; it is not a number, or out of range".into()
        }
        _ => format!("cannot write {}: {error}", path.display()),
    })?;
    let now = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if now.split_whitespace().eq(value.split_whitespace()) {
        return Ok(());
    }
    Err(format!("it is \"{}\" afterwards; the kernel keeps another value", now.trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("ipv4")).unwrap();
        fs::write(folder.path().join("secret"), "1").unwrap();
        let Err(SysctlRefusal::Other(why)) = write(folder.path(), "ipv4/../secret", "2") else {
            panic!("it is refused");
        };
        assert!(why.contains("not the name"), "{why}");
        assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "1");
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let Err(SysctlRefusal::Other(why)) = write(folder.path(), "tcp_fin_timeuot", "2") else {
            panic!("it is refused");
        };
        assert!(why.contains("misspelt"), "{why}");
        assert!(!folder.path().join("tcp_fin_timeuot").exists());
    }
}
