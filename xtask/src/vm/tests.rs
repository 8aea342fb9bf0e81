//! Which tests run inside a virtual machine. A new test target is a line here. The library's own are not
//! among them: what they read of a kernel, these read as well, and building them takes a minute.

/// An integration test of the package tcpwatch.
pub(crate) struct Target {
    /// Cargo's for it, and in the names of tests.
    pub(crate) name: &'static str,
    /// What the names of its tests begin with; all where there is nothing.
    pub(crate) only: &'static [&'static str],
    /// What the names begin with of those tests that depend on the kernel most.
    pub(crate) core: &'static [&'static str],
    /// Tests that prove nothing there.
    pub(crate) without: &'static [&'static str],
}

/// What kernels differ in most: names of functions, arguments of tracepoints, and the timers of mini-sockets.
const CORE_LAB: &[&str] = &["older::", "signals::"];
const CORE_KERNEL: &[&str] = &["ends::", "lives::", "trial::"];

/// Every target whose tests say something about a kernel.
pub(crate) static TARGETS: &[Target] = &[
    Target {
        name: "lab",
        only: &["calls::", "hosts::", "leftovers::", "older::", "scenarios::", "signals::"],
        core: CORE_LAB,
        without: &[
            // The same on every kernel.
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
            // What an emulated processor can bear says nothing about a kernel.
            "loss::a_backlog_at_the_end_takes_time_in_proportion",
            "loss::five_seconds_of_churn_lose_nothing_and_every_time_wait_is_accounted_for",
            "metrics::upheaval::a_thousand_namespaces_and_interfaces_come_and_go_without_a_trace_but_their_counts",
            "running::an_idle_system_lets_it_sleep_and_load_wakes_it_every_few_milliseconds_at_most",
            "running::the_first_record_after_quiet_time_reaches_stdout_at_once",
            // It takes bash, which is not in the machines.
            "owners::names::numbers_are_those_of_the_pid_namespace_that_tcpwatch_runs_in_and_others_have_none",
            // The same on every kernel.
            "running::it_ends_by_itself_after_the_count_of_lines",
            "running::it_ends_by_itself_after_the_duration",
            "why::options::failed_shows_connections_that_failed_and_nothing_else",
            "why::options::lives_shows_a_line_for_each_connection_and_nothing_else",
            "why::options::retries_shows_what_is_sent_again_with_its_owner_and_nothing_else",
        ],
    },
];

/// A way to start a machine, and the tests that need it.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// What its kernel is told besides.
    pub(crate) command_line: &'static str,
    /// What the names of its tests begin with. They are ignored elsewhere.
    pub(crate) tests: &'static str,
}

/// With a kernel that tcpwatch refuses.
pub(crate) static TOO_OLD: Way =
    Way { name: "too-old", command_line: "", tests: "whole_machine::too_old::" };

/// As machines usually are: every test that is not ignored, and then those that change the machine.
pub(crate) static USUAL: Way =
    Way { name: "usual", command_line: "", tests: "whole_machine::symbols::" };

/// The odd ones.
pub(crate) static ODD: [Way; 1] = [Way {
    name: "lockdown",
    command_line: "lsm=lockdown lockdown=confidentiality",
    tests: "whole_machine::lockdown::",
}];

/// What `--list` says, and `--list --ignored`.
pub(crate) struct Listed {
    pub(crate) all: String,
    pub(crate) ignored: String,
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.strip_suffix(": test"))
}

/// Has it one of these words in its name?
fn is_asked(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word))
}

impl Target {
    /// The tests to run on every kernel as machines usually are.
    pub(crate) fn choose(&self, listed: &Listed, only: &[String]) -> Vec<String> {
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

    /// Of those: the tests to run on kernels between the oldest and the newest.
    pub(crate) fn choose_core(&self, listed: &Listed, only: &[String]) -> Vec<String> {
        let mut tests = self.choose(listed, only);
        tests.retain(|name| self.core.iter().any(|prefix| name.starts_with(prefix)));
        tests
    }

    /// Names in the table above that the target does not have.
    pub(crate) fn unknown(&self, listed: &Listed) -> Vec<&'static str> {
        let has = |name: &str| names(&listed.all).any(|other| other == name);
        let begins = |prefix: &str| names(&listed.all).any(|name| name.starts_with(prefix));
        let without = self.without.iter().copied().filter(|name| !has(name));
        let prefixes = self.only.iter().chain(self.core).copied();
        without.chain(prefixes.filter(|prefix| !begins(prefix))).collect()
    }
}

impl Way {
    /// Of a target's tests: those that need a machine like this.
    pub(crate) fn choose(&self, listed: &Listed, only: &[String]) -> Vec<String> {
        let needs = names(&listed.ignored).filter(|name| name.starts_with(self.tests));
        let wanted = needs.filter(|name| is_asked(name, only));
        wanted.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    const TARGET: Target = Target { name: "t", only: &[], core: &["a::"], without: &["churn"] };
    const WAY: Way = Way { name: "w", command_line: "", tests: "odd::" };

    fn listed() -> Listed {
        let all = "a::quick: test\nchurn: test\nload::long: test\nodd::b: test\nservers::a: test\nslow: test\n";
        Listed { all: format!("{all}z: benchmark\n\n6 tests\n"), ignored: "odd::b: test\n".into() }
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
        let slow = Listed { all: "slow: test\n".into(), ignored: String::new() };
        assert_eq!(stale.unknown(&slow), ["churn", "gone::"]);
    }
}
