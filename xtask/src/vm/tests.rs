//! Which tests run inside a virtual machine. A new test target is a line here.

/// A test target of the package tcpwatch.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Tests that prove nothing there.
    pub(crate) without: &'static [&'static str],
}

/// Every target whose tests say something about a kernel.
pub(crate) const TARGETS: &[Target] = &[Target {
    name: "kernel",
    without: &[
        // What an emulated processor can bear says nothing about a kernel.
        "load::conservation::what_is_attempted_is_printed_or_counted_as_lost_on_every_path",
        "loss::a_backlog_at_the_end_takes_time_in_proportion",
        "loss::five_seconds_of_churn_lose_nothing_and_every_time_wait_is_accounted_for",
        "running::an_idle_system_lets_it_sleep_and_load_wakes_it_every_few_milliseconds_at_most",
        "running::the_first_record_after_quiet_time_reaches_stdout_at_once",
        // The same on every kernel.
        "running::it_ends_by_itself_after_the_count_of_lines",
        "running::it_ends_by_itself_after_the_duration",
        "why::options::failed_shows_connections_that_failed_and_nothing_else",
        "why::options::lives_shows_a_line_for_each_connection_and_nothing_else",
        "why::options::retries_shows_what_is_sent_again_with_its_owner_and_nothing_else",
        // Only started by other tests.
        "harness::peer::a_peer_does_as_it_is_told",
    ],
}];

impl Target {
    /// Of what `--list` says: the tests to run.
    pub(crate) fn choose(&self, list: &str, only: Option<&str>) -> Vec<String> {
        let named = list.lines().filter_map(|line| line.strip_suffix(": test"));
        let useful = named.filter(|name| !self.without.contains(name));
        let wanted = useful.filter(|name| only.is_none_or(|word| name.contains(word)));
        wanted.map(str::to_owned).collect()
    }

    /// Names in the table above that the target does not have.
    pub(crate) fn unknown(&self, list: &str) -> Vec<&'static str> {
        let has = |name: &str| list.lines().any(|line| line.strip_suffix(": test") == Some(name));
        self.without.iter().copied().filter(|name| !has(name)).collect()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    const TARGET: Target = Target { name: "t", without: &["load"] };
    const LIST: &str = "a::quick: test\nload: test\nslow: test\nz: benchmark\n\n3 tests\n";

    #[test]
    fn the_useless_are_left_out() {
        assert_eq!(TARGET.choose(LIST, None), ["a::quick", "slow"]);
    }

    #[test]
    fn a_word_chooses_among_them() {
        assert_eq!(TARGET.choose(LIST, Some("quick")), ["a::quick"]);
        assert!(TARGET.choose(LIST, Some("load")).is_empty(), "left out all the same");
    }

    #[test]
    fn a_name_that_was_changed_is_noticed() {
        assert!(TARGET.unknown(LIST).is_empty(), "all are there");
        assert_eq!(TARGET.unknown("slow: test\n"), ["load"]);
    }
}
