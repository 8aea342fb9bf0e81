//! The hosts' networks exist as planned, and nowhere else.

use std::{collections::BTreeSet, fs, process::Command, time::Instant};

use tcpwatch_kernel::{probe::filters::FamilyFilter, source::sysctls};
use tcpwatch_lab::{
    host::Host,
    hosts::{LINK, Machine},
};

use crate::harness::{FAMILIES, Lab, Sysctls, inside, run, try_build};

/// The links and the sysctls of the network namespace that the test runs in.
pub(crate) fn outside() -> (String, Vec<(String, String)>) {
    let output = Command::new("ip").args(["-o", "link"]).output().unwrap();
    assert!(output.status.success());
    let mut sysctls = Vec::new();
    let mut folders = vec!["/proc/sys/net/ipv4".into(), "/proc/sys/net/ipv6".into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                sysctls.push((path.display().to_string(), text));
            }
        }
    }
    sysctls.sort();
    (String::from_utf8(output.stdout).unwrap(), sysctls)
}

/// Contains every link that comes or goes outside, however briefly.
fn link_events(during: impl FnOnce()) -> String {
    let mut monitor = Command::new("ip")
        .args(["-o", "monitor", "link"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let listens = || {
        let netlink = fs::read_to_string("/proc/net/netlink").unwrap();
        let pid = monitor.id().to_string();
        netlink.lines().any(|line| line.split_whitespace().nth(2) == Some(&*pid))
    };
    let begun = Instant::now();
    while !listens() {
        assert!(begun.elapsed() < crate::harness::DEADLINE, "ip monitor listens");
        std::thread::yield_now();
    }
    during();
    monitor.kill().unwrap();
    String::from_utf8(monitor.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn nothing_outside_is_touched() {
    needs_root!();
    let before = outside();
    let events = link_events(|| {
        run(async {
            for family in FAMILIES {
                let sysctls = crate::harness::sysctls(&[("tcp_fin_timeout", "7")]);
                let mut lab = try_build(family, &sysctls).await.unwrap();
                lab.connect().await;
                assert_eq!(outside(), before, "while the hosts are there");
            }
        });
    });
    assert!(!events.contains(LINK), "{events}");
    assert_eq!(outside(), before, "when they are gone");
}

#[test]
fn sysctls_are_those_of_the_plan_and_otherwise_the_kernels() {
    needs_root!();
    run(async {
        let mut plan = Sysctls::new();
        plan.entry(Host::Server).or_default().insert("tcp_fin_timeout".into(), "7".into());
        let lab = try_build(FamilyFilter::V4, &plan).await.unwrap();
        let of = |host| sysctls::read(lab.world.machine(host).netns()).unwrap();
        assert_eq!(of(Host::Server).fin_timeout.as_secs(), 7);
        assert_eq!(of(Host::Client).fin_timeout.as_secs(), 60);
        let value = |name: &str| {
            let file = lab.world.machine(Host::Client).netns_fd().try_clone_to_owned().unwrap();
            let path = format!("/proc/sys/net/ipv4/{name}");
            inside(&file, move || fs::read_to_string(path).unwrap())
        };
        let fresh = |name: &str| {
            let path = format!("/proc/sys/net/ipv4/{name}");
            let output = Command::new("unshare").args(["-n", "cat", &path]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        for name in ["tcp_max_tw_buckets", "tcp_max_syn_backlog", "tcp_syn_retries"] {
            assert_eq!(value(name), fresh(name), "{name}");
        }
        assert_eq!(value("tcp_no_metrics_save"), "1\n");
    });
}

#[test]
fn a_sysctl_that_cannot_be_set_says_whose_which_and_why() {
    needs_root!();
    run(async {
        for (name, value, why) in [
            ("tcp_fin_timeuot", "7", "no such sysctl"),
            ("tcp_syn_retries", "128", "refuses this value"),
            ("tcp_max_orphans", "7", "for the whole machine"),
        ] {
            let mut plan = Sysctls::new();
            plan.entry(Host::Server).or_default().insert(name.into(), value.into());
            let error = try_build(FamilyFilter::V4, &plan).await.err().unwrap().to_string();
            let begin = format!("cannot set the server's net.ipv4.{name} to \"{value}\"");
            assert!(error.starts_with(&begin) && error.contains(why), "{error}");
        }
    });
}

#[test]
fn fifty_pairs_are_there_at_once_and_apart() {
    needs_root!();
    run(async {
        let begun = Instant::now();
        let mut building = tokio::task::JoinSet::new();
        for number in 0..50 {
            building.spawn(Lab::new(FAMILIES[number % 2]));
        }
        let mut labs = building.join_all().await;
        println!("50 pairs built in {:?}", begun.elapsed());
        let machines = || labs.iter().flat_map(|lab| Host::ALL.map(|host| lab.world.machine(host)));
        let netns: BTreeSet<_> = machines().map(Machine::netns).collect();
        let links: BTreeSet<_> = machines().map(Machine::ifindex).collect();
        assert_eq!((netns.len(), links.len()), (100, 100), "all are different");
        for lab in &mut labs {
            lab.connect().await;
        }
        let begun = Instant::now();
        for lab in &mut labs {
            for host in Host::ALL {
                assert!(!lab.world.machine_mut(host).list().unwrap().is_empty());
            }
        }
        println!("100 looks took {:?}", begun.elapsed());
        let begun = Instant::now();
        drop(labs);
        println!("50 pairs ended in {:?}", begun.elapsed());
    });
}
