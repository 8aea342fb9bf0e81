//! Paths as they are met on machines.

use super::*;

const A: &str = "3f2a9c1b7d5e4f60812233445566778899aabbccddeeff001122334455667788";
const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "0b9e6c5a-6f0e-4e8e-9d0a-1c2d3e4f5a6b";
const UID_: &str = "0b9e6c5a_6f0e_4e8e_9d0a_1c2d3e4f5a6b";
const HASH: &str = "8b4d7f0f6b2c4a5e9d8c7b6a5f4e3d2c";

/// `$A`, `$B` for ids, `$U`, `$_` and `$H` for uids; what is expected of `unit`, `container` by `runtime`, `pod`.
#[rustfmt::skip]
const PATHS: &[(&str, &str, &str, &str, &str)] = &[
    ("/", "", "", "", ""),
    ("/init.scope", "init.scope", "", "", ""),
    ("/system.slice", "", "", "", ""),
    ("/system.slice/nginx.service", "nginx.service", "", "", ""),
    ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "", ""),
    ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service", "", "", ""),
    ("/system.slice/ssh.socket", "ssh.socket", "", "", ""),
    ("/system.slice/systemd-fsck@dev-disk-by\\x2duuid-1.service", "systemd-fsck@dev-disk-by\\x2duuid-1.service", "", "", ""),
    ("/system.slice/_cpu.service", "cpu.service", "", "", ""),
    ("/system.slice/my web.service", "", "", "", ""),
    ("/system.slice/.service", "", "", "", ""),
    ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "", ""),
    ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "vte-spawn-1.scope", "", "", ""),
    ("/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope", "", "", ""),
    // Docker: the drivers systemd and cgroupfs, rootless, docker in docker, swarm.
    ("/system.slice/docker-$A.scope", "docker-$A.scope", "$A", "docker", ""),
    ("/docker/$A", "", "$A", "docker", ""),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-$A.scope", "docker-$A.scope", "$A", "docker", ""),
    ("/docker/$A/docker/$B", "", "$B", "docker", ""),
    ("/system.slice/docker-$A.scope/docker/$B/init", "docker-$A.scope", "$B", "docker", ""),
    ("/system.slice/docker-$A.scope/system.slice/nginx.service", "nginx.service", "$A", "docker", ""),
    ("/system.slice/docker.service", "docker.service", "", "", ""),
    ("/system.slice/docker.socket", "docker.socket", "", "", ""),
    // Podman: with systemd, with crun's own cgroup, rootless, split, cgroupfs; its monitors are outside.
    ("/machine.slice/libpod-$A.scope", "libpod-$A.scope", "$A", "podman", ""),
    ("/machine.slice/libpod-$A.scope/container", "libpod-$A.scope", "$A", "podman", ""),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-$A.scope/container", "libpod-$A.scope", "$A", "podman", ""),
    ("/system.slice/web.service/libpod-payload-$A", "web.service", "$A", "podman", ""),
    ("/system.slice/web.service/runtime", "web.service", "", "", ""),
    ("/libpod_parent/libpod-$A", "", "$A", "podman", ""),
    ("/machine.slice/machine-libpod_pod_$B.slice/libpod-$A.scope/container", "libpod-$A.scope", "$A", "podman", ""),
    ("/machine.slice/libpod-conmon-$A.scope", "libpod-conmon-$A.scope", "", "", ""),
    // Kubernetes: qualities of service, both drivers, with the runtimes.
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$_.slice/cri-containerd-$A.scope", "cri-containerd-$A.scope", "$A", "containerd", "$U"),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$_.slice/crio-$A.scope", "crio-$A.scope", "$A", "cri-o", "$U"),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$_.slice/crio-$A.scope/container", "crio-$A.scope", "$A", "cri-o", "$U"),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$_.slice/crio-conmon-$A.scope", "crio-conmon-$A.scope", "", "", "$U"),
    ("/kubepods.slice/kubepods-pod$_.slice/docker-$A.scope", "docker-$A.scope", "$A", "docker", "$U"),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$H.slice/cri-containerd-$A.scope", "cri-containerd-$A.scope", "$A", "containerd", "$H"),
    ("/kubepods/burstable/pod$U/$A", "", "$A", "", "$U"),
    ("/kubepods/pod$U/$A", "", "$A", "", "$U"),
    ("/kubepods/besteffort/pod$U/crio-$A", "", "$A", "cri-o", "$U"),
    ("/kubepods/besteffort/pod$U", "", "", "", "$U"),
    ("/system.slice/containerd.service/kubepods-burstable-pod$_.slice:cri-containerd:$A", "containerd.service", "$A", "containerd", "$U"),
    ("/k8s.io/$A", "", "$A", "", ""),
    // A node of kind: Kubernetes in Docker.
    ("/system.slice/docker-$B.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod$_.slice/cri-containerd-$A.scope", "cri-containerd-$A.scope", "$A", "containerd", "$U"),
    ("/system.slice/docker-$B.scope/kubelet.slice/kubelet.service", "kubelet.service", "$B", "docker", ""),
    // Docker in a pod.
    ("/kubepods/burstable/pod$U/$A/docker/$B", "", "$B", "docker", "$U"),
    ("/system.slice/nerdctl-$A.scope", "nerdctl-$A.scope", "$A", "containerd", ""),
    ("/default/$A", "", "$A", "", ""),
    ("/ecs/0123/$A", "", "$A", "", ""),
    ("/ecstasks.slice/ecstasks-0123.slice/docker-$A.scope", "docker-$A.scope", "$A", "docker", ""),
    ("/lxc/web", "", "web", "lxc", ""),
    ("/lxc/101/ns/system.slice/nginx.service", "nginx.service", "101", "lxc", ""),
    ("/lxc.payload/web/init.scope", "init.scope", "web", "lxc", ""),
    ("/lxc.payload.my_web/system.slice/ssh.service", "ssh.service", "my_web", "lxc", ""),
    ("/lxc.monitor.web", "", "", "", ""),
    ("/machine.slice/systemd-nspawn@deb\\x2d12.service/payload/system.slice/ssh.service", "ssh.service", "deb-12", "systemd-nspawn", ""),
    ("/machine.slice/machine-deb\\x2d12.scope/payload", "machine-deb\\x2d12.scope", "deb-12", "systemd-nspawn", ""),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "machine-qemu\\x2d1\\x2dvm.scope", "", "", ""),
    // What only looks like one.
    ("/system.slice/docker-0123.scope", "docker-0123.scope", "", "", ""),
    ("/pods/podcast", "", "", "", ""),
    ("/x/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", "", "", "", ""),
];

fn filled(pattern: &str) -> String {
    [("$A", A), ("$B", B), ("$U", UID), ("$_", UID_), ("$H", HASH)]
        .iter()
        .fold(pattern.to_owned(), |text, (mark, with)| text.replace(mark, with))
}

#[test]
fn a_path_says_which_unit_container_and_pod_it_is_of() {
    for (path, unit, container, runtime, pod) in PATHS {
        let place = CgroupPlace::of(filled(path).as_bytes());
        assert_eq!(place.unit.as_deref().unwrap_or(""), filled(unit), "unit of {path}");
        let id = place.container.as_ref().map_or("", |container| &*container.id);
        assert_eq!(id, filled(container), "container of {path}");
        let made_by = place.container.as_ref().and_then(|container| container.runtime);
        assert_eq!(made_by.map_or("", Runtime::word), *runtime, "runtime of {path}");
        assert_eq!(place.pod.as_deref().unwrap_or(""), filled(pod), "pod of {path}");
    }
}

#[test]
fn every_runtime_is_in_the_table() {
    for runtime in Runtime::ALL {
        assert!(PATHS.iter().any(|(_, _, _, word, _)| *word == runtime.word()), "{runtime:?}");
    }
}

#[test]
fn bytes_that_are_no_text_stand_for_nothing_and_are_kept() {
    let path = b"/a\xff.service/web.service/\xfe";
    let place = CgroupPlace::of(path);
    assert_eq!(place.unit.as_deref(), Some("web.service"));
    assert_eq!(&*place.path, path);
}

fn wants(filter: &PlaceFilter, path: &str) -> bool {
    filter.wants(Some(&CgroupPlace::of(filled(path).as_bytes())))
}

#[test]
fn a_cgroup_filter_takes_what_is_below_and_no_neighbour() {
    for above in ["/a/b", "/a/b/"] {
        let filter = PlaceFilter { cgroup: Some(above.into()), ..PlaceFilter::default() };
        assert!(wants(&filter, "/a/b") && wants(&filter, "/a/b/c"), "{above}");
        assert!(!wants(&filter, "/a/bc") && !wants(&filter, "/a"), "{above}");
        assert!(!filter.wants(None), "unknown is not wanted");
    }
    let all = PlaceFilter { cgroup: Some("/".into()), ..PlaceFilter::default() };
    assert!(wants(&all, "/") && wants(&all, "/a"));
}

#[test]
fn a_unit_is_named_with_or_without_service_and_a_container_by_the_beginning_of_its_id() {
    let unit = |unit: &str| PlaceFilter { unit: Some(unit.into()), ..PlaceFilter::default() };
    assert!(wants(&unit("nginx"), "/system.slice/nginx.service"));
    assert!(wants(&unit("nginx.service"), "/system.slice/nginx.service/worker"));
    assert!(wants(&unit("ssh.socket"), "/system.slice/ssh.socket"));
    assert!(!wants(&unit("ssh"), "/system.slice/ssh.socket"));
    assert!(!wants(&unit("ngin"), "/system.slice/nginx.service"));
    let container = |id: &str| PlaceFilter { container: Some(id.into()), ..PlaceFilter::default() };
    assert!(wants(&container("3f2a9c"), "/docker/$A"));
    assert!(wants(&container(A), "/docker/$A"));
    assert!(!wants(&container("2a9c"), "/docker/$A"));
    assert!(wants(&container("web"), "/lxc/web") && !wants(&container("we"), "/lxc/web"));
    let mut place = CgroupPlace::of(filled("/docker/$A").as_bytes());
    place.container.as_mut().unwrap().name = Some("shop".into());
    assert!(
        !container("shop").wants(Some(&place)),
        "names are resolved at the start of a live run"
    );
    let by_name = |name| PlaceFilter { by_name: true, ..container(name) };
    assert!(by_name("shop").wants(Some(&place)) && !by_name("sho").wants(Some(&place)));
}

proptest::proptest! {
    #[test]
    fn no_path_makes_it_panic(path: Vec<u8>, names in proptest::collection::vec("[a-f0-9.:@_-]{0,70}|docker-|lxc|libpod-|\\.scope", 0..6)) {
        let _place = CgroupPlace::of(&path);
        let _place = CgroupPlace::of(names.join("/").as_bytes());
    }
}
