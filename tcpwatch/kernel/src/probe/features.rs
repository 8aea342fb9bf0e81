//! What this kernel, this process and these privileges allow, asked once; the answers travel as values,
//! and [`Facts::demands`] judges them.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aya::{maps::MapType, sys::is_map_supported};
use caps::{CapSet, Capability};
use procfs::process::Process;
use rustix::process::{Resource, getrlimit};

use super::{ProbeError, layout::VMLINUX_BTF, vmlinux};

/// File descriptors that must be free: one for each map, two for each program and one for each link;
/// the laboratory, the server and looks into other namespaces take some more.
const DESCRIPTORS: u64 = 128;

/// The number of the user namespace that the kernel starts with (`PROC_USER_INIT_INO`,
/// `include/linux/proc_ns.h`).
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// What must be mounted: one's own process (skipped runs, limits), and the number of processors.
const MOUNTED: [(&str, &str); 2] =
    [("/proc", "/proc/self"), ("/sys", "/sys/devices/system/cpu/possible")];

/// What was found out before anything is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// Effective capabilities.
    pub capabilities: HashSet<Capability>,
    /// Inside a user namespace, whose capabilities do not count for eBPF.
    pub in_user_namespace: bool,
    /// A seccomp filter judges this process's system calls.
    pub has_seccomp: bool,
    /// File descriptors that may still be opened.
    pub descriptors: u64,
    /// What should be mounted and is not.
    pub unmounted: Vec<&'static str>,
    /// What is wrong with the kernel's type information.
    pub type_information: Result<(), String>,
    /// Whether there are ring buffer maps.
    pub ring_buffer: RingBuffer,
}

/// What the kernel said to a ring buffer map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingBuffer {
    /// It made one.
    Works,
    /// It knows none.
    Unknown,
    /// It refused with this error number.
    Refused(i32),
    /// It was not asked, for lack of privilege.
    NotAsked,
}

impl Facts {
    /// Asks the running kernel.
    #[must_use]
    pub fn gather() -> Self {
        let uname = rustix::system::uname();
        let status = Process::myself().and_then(|process| process.status());
        let mut facts = Self {
            release: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            capabilities: caps::read(None, CapSet::Effective).unwrap_or_default(),
            in_user_namespace: fs::metadata("/proc/self/ns/user")
                .is_ok_and(|namespace| namespace.ino() != FIRST_USER_NAMESPACE),
            has_seccomp: status.is_ok_and(|status| status.seccomp.is_some_and(|mode| mode != 0)),
            descriptors: free_descriptors(),
            unmounted: MOUNTED
                .into_iter()
                .filter_map(|(mount, file)| (!Path::new(file).exists()).then_some(mount))
                .collect(),
            type_information: vmlinux::look_at(Path::new(VMLINUX_BTF)),
            ring_buffer: RingBuffer::NotAsked,
        };
        if facts.privileges().is_ok() {
            facts.ring_buffer = ring_buffer();
        }
        facts
    }

    /// What cannot be done without, in the order in which it is asked for.
    pub fn demands(&self) -> [(String, Result<(), ProbeError>); 5] {
        [
            ("privileges CAP_BPF CAP_PERFMON".to_owned(), self.privileges()),
            ("/proc and /sys".to_owned(), self.mounts()),
            ("open files".to_owned(), demand_descriptors(self.descriptors)),
            (format!("BTF at {VMLINUX_BTF}"), self.types()),
            ("ring buffer".to_owned(), self.ring()),
        ]
    }

    /// What works without these capabilities, but sees less: what is not seen, and why.
    #[must_use]
    pub fn blind_spots(&self) -> Vec<(&'static str, &'static str)> {
        let mut spots = Vec::new();
        if !self.enters_namespaces() {
            spots.push((
                "what other network namespaces had before, and their sysctls",
                "entering them takes CAP_SYS_ADMIN (sudo has it)",
            ));
        }
        let may_read =
            self.may(Capability::CAP_DAC_READ_SEARCH) || self.may(Capability::CAP_DAC_OVERRIDE);
        if !self.may(Capability::CAP_SYS_PTRACE) || !may_read {
            spots.push((
                "who owns the sockets that other users had before",
                "looking into their processes takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (sudo \
                 has them)",
            ));
        }
        spots
    }

    /// Whether this process could enter other network namespaces.
    #[must_use]
    pub fn enters_namespaces(&self) -> bool {
        self.may(Capability::CAP_SYS_ADMIN)
    }

    /// Refuses what cannot work, before the kernel refuses it with fewer words.
    pub(super) fn demand(&self) -> Result<(), ProbeError> {
        self.demands().into_iter().try_for_each(|(_, met)| met)
    }

    fn may(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    fn privileges(&self) -> Result<(), ProbeError> {
        if self.in_user_namespace {
            return Err(ProbeError::UserNamespace);
        }
        let missing: Vec<_> =
            [(Capability::CAP_BPF, "CAP_BPF"), (Capability::CAP_PERFMON, "CAP_PERFMON")]
                .into_iter()
                .filter(|(one, _)| !self.may(*one) && !self.may(Capability::CAP_SYS_ADMIN))
                .map(|(_, name)| name)
                .collect();
        if missing.is_empty() { Ok(()) } else { Err(ProbeError::Privilege { missing }) }
    }

    fn mounts(&self) -> Result<(), ProbeError> {
        match self.unmounted.as_slice() {
            [] => Ok(()),
            unmounted => Err(ProbeError::NotMounted { missing: unmounted.to_vec() }),
        }
    }

    fn types(&self) -> Result<(), ProbeError> {
        let unusable = |why| ProbeError::Types { path: PathBuf::from(VMLINUX_BTF), why };
        self.type_information.clone().map_err(unusable)
    }

    fn ring(&self) -> Result<(), ProbeError> {
        match self.ring_buffer {
            RingBuffer::Works => Ok(()),
            RingBuffer::Unknown => Err(ProbeError::NoRingBuffer { release: self.release.clone() }),
            RingBuffer::Refused(number) => {
                Err(ProbeError::refused(self, io::Error::from_raw_os_error(number)))
            }
            RingBuffer::NotAsked => self.privileges(),
        }
    }
}

/// Are there enough file descriptors for anything at all?
///
/// # Errors
/// If not, with the number.
pub fn demand_open_files() -> Result<(), ProbeError> {
    demand_descriptors(free_descriptors())
}

/// Does the kernel refuse programs that read memory by address (`lockdown=confidentiality`)?
pub(super) fn hides_memory() -> bool {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    modes.contains("[confidentiality]")
}

fn demand_descriptors(free: u64) -> Result<(), ProbeError> {
    if free < DESCRIPTORS {
        return Err(ProbeError::FewDescriptors { free, needed: DESCRIPTORS });
    }
    Ok(())
}

fn free_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    limit.saturating_sub(u64::try_from(open).unwrap_or(u64::MAX))
}

fn ring_buffer() -> RingBuffer {
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => RingBuffer::Works,
        Ok(false) => RingBuffer::Unknown,
        Err(error) => RingBuffer::Refused(error.io_error.raw_os_error().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capable() -> Facts {
        Facts {
            release: "5.4.0".to_owned(),
            machine: "x86_64".to_owned(),
            capabilities: caps::all(),
            in_user_namespace: false,
            has_seccomp: false,
            descriptors: 1000,
            unmounted: Vec::new(),
            type_information: Ok(()),
            ring_buffer: RingBuffer::Works,
        }
    }

    /// The one thing that is wrong, in words; all of them are preconditions.
    fn refusal(facts: &Facts) -> String {
        let error = facts.demand().unwrap_err();
        assert!(error.is_precondition(), "{error}");
        error.to_string()
    }

    #[track_caller]
    fn assert_says(text: &str, words: &[&str]) {
        for word in words {
            assert!(text.contains(word), "no \"{word}\" in: {text}");
        }
    }

    #[test]
    fn a_capable_machine_is_accepted_and_sees_everything() {
        assert!(capable().demand().is_ok());
        assert_eq!(capable().blind_spots(), []);
    }

    #[test]
    fn missing_capabilities_are_named_with_what_to_do() {
        let facts = Facts { capabilities: HashSet::new(), ..capable() };
        assert_says(&refusal(&facts), &["CAP_BPF and CAP_PERFMON", "sudo", "setcap"]);
    }

    #[test]
    fn either_capability_alone_is_not_enough_and_the_administrators_is() {
        let only = |one| Facts { capabilities: HashSet::from([one]), ..capable() };
        assert_says(&refusal(&only(Capability::CAP_BPF)), &["needs CAP_PERFMON;"]);
        assert_says(&refusal(&only(Capability::CAP_PERFMON)), &["needs CAP_BPF;"]);
        assert!(only(Capability::CAP_SYS_ADMIN).demand().is_ok());
    }

    #[test]
    fn two_capabilities_are_enough_and_what_they_do_not_show_is_told() {
        let two = HashSet::from([Capability::CAP_BPF, Capability::CAP_PERFMON]);
        let facts = Facts { capabilities: two, ..capable() };
        assert!(facts.demand().is_ok());
        let told: Vec<_> =
            facts.blind_spots().iter().map(|(what, why)| format!("{what}: {why}")).collect();
        assert_says(&told.join("\n"), &["network namespaces", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]);
    }

    #[test]
    fn owners_are_found_only_with_both_capabilities_for_their_processes() {
        for lacking in [
            &[Capability::CAP_SYS_PTRACE][..],
            &[Capability::CAP_DAC_READ_SEARCH, Capability::CAP_DAC_OVERRIDE],
        ] {
            let mut facts = capable();
            facts.capabilities.retain(|one| !lacking.contains(one));
            let [(what, _)] = facts.blind_spots()[..] else { panic!("one: {lacking:?}") };
            assert!(what.starts_with("who owns"), "{what}");
        }
    }

    #[test]
    fn a_kernel_without_ring_buffers_is_refused_with_the_version_that_has_them() {
        let facts = Facts { ring_buffer: RingBuffer::Unknown, ..capable() };
        assert_says(&refusal(&facts), &["5.4.0 has no BPF ring buffer", "Linux 5.8 or newer"]);
    }

    #[test]
    fn capabilities_of_a_user_namespace_do_not_pass_for_an_old_kernel() {
        let facts =
            Facts { in_user_namespace: true, ring_buffer: RingBuffer::NotAsked, ..capable() };
        assert_says(&refusal(&facts), &["user namespace", "container", "--userns=host"]);
        let [_, _, _, _, (name, ring)] = facts.demands();
        assert_eq!(name, "ring buffer");
        assert_says(&ring.unwrap_err().to_string(), &["user namespace"]);
    }

    #[test]
    fn a_refusal_in_spite_of_the_capabilities_names_what_can_refuse() {
        let refused =
            |number, facts| refusal(&Facts { ring_buffer: RingBuffer::Refused(number), ..facts });
        let filtered = Facts { has_seccomp: true, release: "6.12.1".to_owned(), ..capable() };
        let text = refused(libc::EPERM, filtered.clone());
        assert_says(&text, &["bpf()", "Operation not permitted", "seccomp", "container"]);
        assert!(!text.contains("ulimit"), "{text}");
        assert_says(&refused(libc::ENOSYS, filtered.clone()), &["seccomp", "CONFIG_BPF_SYSCALL"]);
        let unfiltered = Facts { has_seccomp: false, ..filtered };
        let text = refused(libc::EPERM, unfiltered.clone());
        assert_says(&text, &["SELinux"]);
        assert!(!text.contains("seccomp"), "{text}");
        assert_says(&refused(libc::ENOMEM, unfiltered), &["memory"]);
    }

    #[test]
    fn kernels_that_lock_the_memory_of_maps_get_the_limit_named() {
        for (release, is_old) in
            [("5.8.0-1-amd64", true), ("4.18.0-553.el8", true), ("5.11.0", false), ("6.1", false)]
        {
            let facts = Facts {
                release: release.to_owned(),
                ring_buffer: RingBuffer::Refused(libc::EPERM),
                ..capable()
            };
            let text = refusal(&facts);
            assert_eq!(text.contains("ulimit -l unlimited"), is_old, "{text}");
        }
    }

    #[test]
    fn what_is_not_mounted_is_named_with_the_command_that_mounts_it() {
        let facts = Facts { unmounted: vec!["/proc", "/sys"], ..capable() };
        assert_says(&refusal(&facts), &["/proc and /sys", "mount -t proc"]);
    }

    #[test]
    fn too_few_file_descriptors_are_counted() {
        let facts = Facts { descriptors: 127, ..capable() };
        assert_says(&refusal(&facts), &["127", "128", "ulimit -n", "LimitNOFILE"]);
    }

    #[test]
    fn unusable_type_information_is_told_with_its_path() {
        let facts = Facts { type_information: Err("it is empty".to_owned()), ..capable() };
        assert_says(&refusal(&facts), &[VMLINUX_BTF, "it is empty"]);
    }
}
