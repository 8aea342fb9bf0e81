//! Which tests run in a virtual machine. A new test target is a line here. The crates' unit tests are not among them:
//! what they read of a kernel, these read, too, and building them takes a minute.

/// An integration test of the package tcpwatch.
pub(crate) struct Target {
    /// Its name in cargo, and the first part of the paths of its tests.
    pub(crate) name: &'static str,
    /// Prefixes of the names of its tests; empty for all tests.
    pub(crate) only: &'static [&'static str],
    /// Prefixes of the names of those tests that depend most on the kernel.
    pub(crate) core: &'static [&'static str],
    /// Tests that prove nothing in such a machine.
    pub(crate) without: &'static [&'static str],
}

/// What differs most between kernels: names of functions, arguments of tracepoints, timers of mini-sockets.
const CORE_LAB: &[&str] = &["older::", "signals::"];
const CORE_KERNEL: &[&str] = &["ends::", "lives::", "trial::"];

/// Every target whose tests depend on the kernel.
pub(crate) static TARGETS: &[Target] = &[
    Target {
        name: "lab",
        only: &["calls::", "hosts::", "leftovers::", "older::", "scenarios::", "signals::"],
        core: CORE_LAB,
        without: &[
            // Does not depend on the kernel.
            "calls::what_cannot_be_done_is_told_in_words",
            "leftovers::a_host_whose_maker_is_another_process_does_not_live",
            "leftovers::only_hosts_without_their_laboratory_are_ended",
            "leftovers::without_privilege_the_error_says_what_it_takes",
        ],
    },
    Target {
        name: "kernel",
        only: &[],
        core: CORE_KERNEL,
        without: &[
            // The throughput of an emulated processor does not depend on the kernel.
            "loss::a_backlog_at_the_end_takes_time_in_proportion",
            "loss::five_seconds_of_churn_lose_nothing_and_every_time_wait_is_accounted_for",
            "metrics::upheaval::a_thousand_namespaces_and_interfaces_come_and_go_without_a_trace_but_their_counts",
            "running::an_idle_system_lets_it_sleep_and_load_wakes_it_every_few_milliseconds_at_most",
            "running::the_first_record_after_quiet_time_reaches_stdout_at_once",
            // It takes bash, which is not in the machines.
            "owners::names::numbers_are_those_of_the_pid_namespace_that_tcpwatch_runs_in_and_others_have_none",
            // It takes setpriv, which is not in the machines.
            "sandbox::threads::what_was_started_with_three_capabilities_keeps_none",
            // Does not depend on the kernel.
            "running::it_ends_by_itself_after_the_count_of_lines",
            "running::it_ends_by_itself_after_the_duration",
            "why::options::failed_shows_connections_that_failed_and_nothing_else",
            "why::options::lives_shows_a_line_for_each_connection_and_nothing_else",
            "why::options::retries_shows_what_is_sent_again_with_its_owner_and_nothing_else",
        ],
    },
];

/// A configuration of a machine, and the tests that need it.
#[derive(Debug)]
pub(crate) struct MachineKind {
    pub(crate) name: &'static str,
    /// Additional parameters of its kernel.
    pub(crate) command_line: &'static str,
    /// Prefixes of the names of its tests, which are ignored elsewhere.
    pub(crate) tests: &'static [&'static str],
}

/// A kernel that tcpwatch refuses.
pub(crate) static TOO_OLD: MachineKind =
    MachineKind { name: "too-old", command_line: "", tests: &["whole_machine::too_old::"] };

/// The usual configuration: every test that is not ignored, and then those that change the machine.
pub(crate) static USUAL: MachineKind = MachineKind {
    name: "usual",
    command_line: "",
    tests: &["whole_machine::orphans::", "whole_machine::symbols::"],
};

/// The unusual configurations.
pub(crate) static ODD: [MachineKind; 1] = [MachineKind {
    name: "lockdown",
    command_line: "lsm=lockdown lockdown=confidentiality",
    tests: &["whole_machine::lockdown::"],
}];

/// The output of `--list`, and of `--list --ignored`.
pub(crate) struct ListedTests {
    pub(crate) all: String,
    pub(crate) ignored: String,
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.strip_suffix(": test"))
}

/// Whether the name contains one of these words; true if there are none.
fn is_asked(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word))
}

impl Target {
    /// The tests to run on every kernel in the usual configuration.
    pub(crate) fn choose(&self, listed: &ListedTests, only: &[String]) -> Vec<String> {
        let is_ignored = |name: &str| names(&listed.ignored).any(|ignored| ignored == name);
        let is_wanted = |name: &&str| {
            let of_these = self.only.iter().any(|prefix| name.starts_with(prefix));
            (of_these || self.only.is_empty())
                && !self.without.contains(name)
                // Tiers of their own.
                && !name.starts_with("load::")
                && !name.starts_with("servers::")
                && is_asked(name, only)
        };
        let wanted = names(&listed.all).filter(is_wanted);
        wanted.filter(|name| !is_ignored(name)).map(str::to_owned).collect()
    }

    /// Of those, the tests to run on kernels between the oldest and the newest.
    pub(crate) fn choose_core(&self, listed: &ListedTests, only: &[String]) -> Vec<String> {
        let mut tests = self.choose(listed, only);
        tests.retain(|name| self.core.iter().any(|prefix| name.starts_with(prefix)));
        tests
    }

    /// Names in the table above that the target does not have.
    pub(crate) fn unknown(&self, listed: &ListedTests) -> Vec<&'static str> {
        let has = |name: &str| names(&listed.all).any(|other| other == name);
        let begins = |prefix: &str| names(&listed.all).any(|name| name.starts_with(prefix));
        let without = self.without.iter().copied().filter(|name| !has(name));
        let prefixes = self.only.iter().chain(self.core).copied();
        without.chain(prefixes.filter(|prefix| !begins(prefix))).collect()
    }
}

impl MachineKind {
    /// The tests of a target that need a machine like this.
    pub(crate) fn choose(&self, listed: &ListedTests, only: &[String]) -> Vec<String> {
        let is_its = |name: &&str| self.tests.iter().any(|prefix| name.starts_with(prefix));
        let needs = names(&listed.ignored).filter(is_its);
        let wanted = needs.filter(|name| is_asked(name, only));
        wanted.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    const TARGET: Target = Target { name: "t", only: &[], core: &["a::"], without: &["churn"] };
    const WAY: MachineKind = MachineKind { name: "w", command_line: "", tests: &["odd::"] };

    fn listed() -> ListedTests {
        let all = "a::quick: test\nchurn: test\nload::long: test\nodd::b: test\nservers::a: test\nslow: test\n";
        ListedTests {
            all: format!("{all}z: benchmark\n\n6 tests\n"),
            ignored: "odd::b: test\n".into(),
        }
    }

    #[test]
    fn the_useless_and_the_ignored_are_left_out() {
        assert_eq!(TARGET.choose(&listed(), &[]), ["a::quick", "slow"]);
    }

    #[test]
    fn words_choose_among_them() {
        let quick = ["quick", "churn"].map(str::to_owned);
        assert_eq!(
            TARGET.choose(&listed(), &quick),
            ["a::quick"],
            "the other is left out all the same"
        );
    }

    #[test]
    fn a_target_may_have_but_a_part_of_its_tests_run() {
        let part = Target { only: &["a::"], ..TARGET };
        assert_eq!(part.choose(&listed(), &[]), ["a::quick"]);
    }

    #[test]
    fn of_the_kernels_between_only_a_core_is_asked() {
        assert_eq!(TARGET.choose_core(&listed(), &[]), ["a::quick"]);
    }

    #[test]
    fn an_odd_machine_runs_what_is_ignored_elsewhere() {
        assert_eq!(WAY.choose(&listed(), &[]), ["odd::b"]);
        assert!(WAY.choose(&listed(), &["quick".to_owned()]).is_empty());
    }

    #[test]
    fn a_name_that_was_changed_is_noticed() {
        assert!(TARGET.unknown(&listed()).is_empty(), "all are there");
        let stale = Target { only: &["gone::"], core: &[], ..TARGET };
        let slow = ListedTests { all: "slow: test\n".into(), ignored: String::new() };
        assert_eq!(stale.unknown(&slow), ["churn", "gone::"]);
    }
}
