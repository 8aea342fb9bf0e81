//! The functions by which the timers of mini-sockets are recognized.

use std::path::Path;

use tcpwatch_kernel::probe::{
    Counting, Probes,
    handlers::KnownBy,
    symbols::{KALLSYMS, Listed},
};

#[test]
fn what_own_sockets_teach_is_what_the_kernels_list_names() {
    needs_root!();
    let learned = Probes::attach_counting(Counting::All).unwrap().minis.unwrap();
    assert_eq!(learned.by, KnownBy::OwnSockets);
    let named = Listed::read(Path::new(KALLSYMS)).unwrap().handlers().unwrap();
    assert_eq!((learned.timewait, learned.request), (named.timewait, named.request));
}
