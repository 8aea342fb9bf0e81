//! The user that root's processes become.

use std::fs;

/// The user of the packages.
const SERVICE: &str = "tcpwatch";
/// `overflowuid` and `overflowgid` (kernel/sys.c), which no file of its own belongs to: `nobody` and `nogroup`.
const NOBODY: (u32, u32) = (65534, 65534);

/// User and group of [`SERVICE`] in `/etc/passwd`, or [`NOBODY`]. Other sources of users (LDAP, systemd) are not asked:
/// that takes libraries loaded at run time.
pub(crate) fn service_user() -> (u32, u32) {
    find(SERVICE, &fs::read_to_string("/etc/passwd").unwrap_or_default()).unwrap_or(NOBODY)
}

/// A line is `NAME:PASSWORD:UID:GID:...` (passwd(5)). Root's ids are no answer.
fn find(name: &str, passwd: &str) -> Option<(u32, u32)> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.into_iter().find_map(|fields| match fields.as_slice() {
        [found, _, uid, gid, ..] if *found == name => {
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            (uid != 0 && gid != 0).then_some((uid, gid))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_never_with_an_id_of_root() {
        let passwd = "root:x:0:0::/root:/bin/sh\ntcpwatchd:x:5:6:::\ntcpwatch:x:993:992::/:/x\n";
        assert_eq!(find("tcpwatch", passwd), Some((993, 992)));
        for passwd in
            ["", "tcpwatch", "tcpwatch:x:0:992::/:/x", "tcpwatch:x:993:0::", "tcpwatch:x:a:b"]
        {
            assert_eq!(find("tcpwatch", passwd), None, "{passwd}");
        }
    }
}
