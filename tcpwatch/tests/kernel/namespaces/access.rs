//! Which namespaces are read: those from before the start in full, those from after it as far as privileges go.

use std::time::Duration;

use super::{
    queues::{full_queue, overflows},
    series,
};
use crate::harness::{
    exporter::{Exporter, Samples},
    netns::{Netns, two_hosts},
    poll, poll_within,
    sockets::{start_connect, unbound},
};

/// Namespaces are looked for every 10 s and read every 5 s, or after 50 and 20 times what it takes.
const LATER: Duration = Duration::from_mins(1);

/// Makes one connection too many, and returns what keeps it so.
fn overflow(netns: &Netns) -> impl Drop {
    netns.inside(|| {
        let (listener, clients) = full_queue(2);
        let at = listener.local_addr().unwrap();
        vec![(listener, clients, start_connect(unbound(at), at))]
    })
}

fn serve(sandbox: &str) -> Exporter {
    Exporter::start(&["serve", "--web.listen-address", "127.0.0.1:0", "--sandbox", sandbox])
}

/// The backlog and the limit of the only listener in a namespace.
fn queue(samples: &Samples, netns: &Netns) -> Option<(f64, f64)> {
    let label = format!("netns=\"{}\"", netns.inode);
    let of = |metric| series(samples, metric, &label).first().map(|(_, value)| *value);
    Some((of("listener_backlog")?, of("listener_backlog_limit")?))
}

/// The namespaces that only the counters of are read, and have overflows.
fn passed(samples: &Samples) -> usize {
    let found = series(samples, "listen_overflows_total", "netns=\"proc:");
    found.into_iter().filter(|(_, value)| *value > 0.0).count()
}

#[test]
fn without_privileges_earlier_namespaces_are_read_in_full_and_later_ones_are_counted() {
    needs_root!();
    let (before, again) = (Netns::new(), Netns::new());
    let exporter = serve("strict");
    let kept = [&before, &again].map(overflow);
    poll_within(LATER, "both queues and overflows", || {
        let samples = exporter.samples();
        let is_full = |netns: &&Netns| {
            queue(&samples, netns) == Some((3.0, 2.0)) && samples.get(&overflows(netns)) > 0.0
        };
        [&before, &again].iter().all(is_full).then_some(())
    });
    let earlier = passed(&exporter.samples());
    let after = Netns::new();
    let _kept = overflow(&after);
    let samples = poll_within(LATER, "the overflow of a later one", || {
        let samples = exporter.samples();
        (passed(&samples) == earlier + 1).then_some(samples)
    });
    assert_eq!(queue(&samples, &after), None, "its sockets are out of reach");
    assert!(samples.get("network_namespaces{access=\"counters\"}") > 0.0);
    drop(kept);
}

#[test]
fn with_privileges_later_namespaces_are_read_in_full() {
    needs_root!();
    let exporter = serve("off");
    let after = Netns::new();
    let _kept = overflow(&after);
    poll_within(LATER, "its queue and its overflow", || {
        let samples = exporter.samples();
        let label = format!("netns=\"{}\"", after.inode);
        let info = series(&samples, "network_namespace_info", &label).len();
        let read = series(&samples, "network_namespace_last_read_timestamp_seconds", &label).len();
        (queue(&samples, &after)? == (3.0, 2.0)
            && samples.get(&overflows(&after)) > 0.0
            && (info, read) == (1, 1))
            .then_some(())
    });
}

#[test]
fn a_namespace_that_is_read_is_removed_when_its_last_process_goes() {
    needs_root!();
    for sandbox in ["strict", "off"] {
        let (here, gone) = two_hosts();
        let exporter = serve(sandbox);
        let label = format!("netns=\"{}\"", gone.inode);
        let is_read =
            |samples: &Samples| !series(samples, "network_namespace_info", &label).is_empty();
        poll_within(LATER, "it is read", || is_read(&exporter.samples()).then_some(()));
        drop(gone);
        // The link goes with the namespace of its other end.
        poll("the link has gone", || {
            here.inside(|| !std::path::Path::new("/proc/sys/net/ipv4/conf/cable").exists())
                .then_some(())
        });
        poll_within(LATER, "it is not read", || (!is_read(&exporter.samples())).then_some(()));
    }
}

#[test]
fn no_more_than_128_namespaces_are_entered_and_the_others_are_counted() {
    needs_root!();
    let namespaces: Vec<_> = (0..140).map(|_| Netns::new()).collect();
    let _kept: Vec<_> = namespaces.iter().map(overflow).collect();
    let exporter = serve("off");
    let samples = poll_within(LATER, "overflows of all of them", || {
        let samples = exporter.samples();
        let own = series(&samples, "listen_overflows_total", "netns=").into_iter();
        let own = own.filter(|(series, value)| !series.contains("other") && *value > 0.0).count();
        let others = samples.0.get("tcpwatch_listen_overflows_total{netns=\"other\"}");
        (own >= 120 && others.is_some_and(|sum| *sum >= 12.0)).then_some(samples)
    });
    let of = |access: &str| samples.get(&format!("network_namespaces{{access=\"{access}\"}}"));
    assert!((of("entered") - 128.0).abs() < f64::EPSILON, "{}", of("entered"));
    assert!(of("counters") >= 12.0);
    let read = series(&samples, "network_namespace_last_read_timestamp_seconds", "").len();
    assert_eq!(read, 128);
}

#[test]
fn a_namespace_that_was_named_is_the_only_one_that_is_read() {
    needs_root!();
    let (named, other) = (Netns::new(), Netns::new());
    let exporter = Exporter::on(&named);
    let samples = exporter.samples();
    let read: Vec<_> = series(&samples, "network_namespace_info", "").into_iter().collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert!(read[0].0.contains(&format!("netns=\"{}\"", named.inode)), "{read:?}");
    drop(other);
}
