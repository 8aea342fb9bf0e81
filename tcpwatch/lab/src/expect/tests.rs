//! Verdicts on stories made by hand.

use std::sync::Arc;

use tcpwatch_core::{
    event::{
        Cookie, Endpoint, Endpoints, KernelTime, Netns, ResetDirection, SegmentEvent, TcpFlags,
        TcpOptions,
        TcpState::{self, Closed, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent},
        Way,
    },
    timing::{Sysctls, wheel::TickRate},
    track::{Change, Reason, Restart, Subject, TrackedReset, TrackedRetransmit},
};
use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::*;
use crate::{
    scenario::{self, Choices},
    story::{MomentKind, Profile, StoryEvent, SystemCall},
};

/// A run, made by hand, of a scenario with these expectations.
struct JudgedTale {
    run: Run,
}

fn at(milliseconds: u64) -> KernelTime {
    KernelTime(1_000_000_000_000 + milliseconds * 1_000_000)
}

fn ends(host: Host, remote: bool) -> Endpoints {
    let end = |host: Host, port| Endpoint { address: host.address(FamilyFilter::V4), port };
    let (client, server) = (end(Host::Client, 40_000), end(Host::Server, 11_111));
    match (host, remote) {
        (Host::Client, _) => Endpoints { local: client, remote: server },
        (Host::Server, true) => Endpoints { local: server, remote: client },
        (Host::Server, false) => {
            Endpoints { local: server, remote: Endpoint { address: [0, 0, 0, 0].into(), port: 0 } }
        }
    }
}

impl JudgedTale {
    fn new(expect: &str) -> Self {
        let text = format!(
            "title = \"t\"\nclaim = \"c\"\nsteps = []\nexpect = [\n{expect}\n]\n\
             [[rule]]\nname = \"no-syn\"\non = \"server\"\nflags = \"SYN\"\n"
        );
        let scenario = scenario::read("tale.toml", &text, &Choices::default());
        let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
        let run = Run {
            scenario: Arc::new(scenario),
            profile: Profile::Full,
            family: FamilyFilter::V4,
            sysctls: [Sysctls::default(); 2],
            rate: TickRate(250),
            started: at(0),
            ended: at(1_000_000),
            story: Vec::new(),
            dropped: Vec::new(),
            netns: [Netns(1), Netns(2)],
            lost: 0,
            counted: 0,
            discarded: Vec::new(),
            failure: None,
            verdicts: Vec::new(),
            warnings: Vec::new(),
        };
        Self { run }
    }

    fn add(mut self, milliseconds: u64, host: Host, what: MomentKind) -> Self {
        self.run.story.push(StoryEvent { at: at(milliseconds), host, what });
        self
    }

    fn subject(host: Host, remote: bool) -> Subject {
        Subject {
            socket: Some(Cookie(if remote { 1 } else { 2 })),
            netns: Netns(if host == Host::Client { 1 } else { 2 }),
            ends: ends(host, remote),
            cgroup: None,
            direction: None,
            process: None,
            inherited: false,
        }
    }

    fn change(self, milliseconds: u64, host: Host, from: TcpState, to: TcpState) -> Self {
        self.changed(milliseconds, host, from, to, |_| {})
    }

    fn changed(
        self,
        milliseconds: u64,
        host: Host,
        from: TcpState,
        to: TcpState,
        edit: impl FnOnce(&mut Change),
    ) -> Self {
        let listener = (from == Listen && to == Closed) || to == Listen;
        let mut change = Change {
            at: at(milliseconds),
            subject: Self::subject(host, !listener),
            from,
            to,
            in_state: None,
            reason: None,
            ends_at: None,
            asked: false,
            handshake: None,
            queue: None,
            dropped: None,
            late_data: false,
            inferred: false,
            gap: false,
        };
        edit(&mut change);
        self.add(
            milliseconds,
            host,
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Change(change))),
        )
    }

    fn again(
        self,
        milliseconds: u64,
        host: Host,
        segment: SegmentKind,
        rto_ms: Option<u64>,
    ) -> Self {
        let again = TrackedRetransmit {
            at: at(milliseconds),
            subject: Self::subject(host, true),
            state: SynSent,
            segment,
            attempt: 1,
            early: rto_ms.is_none(),
            since_last: None,
            expected: rto_ms.map(Duration::from_millis),
            next: None,
            most: None,
            sent: true,
            queue: None,
        };
        self.add(
            milliseconds,
            host,
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Retransmit(again))),
        )
    }

    fn call(self, milliseconds: u64, name: &str, result: Option<Result<i64, &str>>) -> Self {
        let call = SystemCall {
            socket: "connection".to_owned(),
            name: name.to_owned(),
            call: format!("{name}(3)"),
            result: result.map(|result| result.map_err(str::to_owned)),
        };
        let what =
            if result.is_none() { MomentKind::Called(call) } else { MomentKind::Returned(call) };
        self.add(milliseconds, Host::Client, what)
    }

    fn witness(self, milliseconds: u64, host: Host, states: &[TcpState]) -> Self {
        self.add(milliseconds, host, MomentKind::Witness(states.to_vec()))
    }

    /// The verdicts if the control timer was late by `late_ms`.
    fn judged_by(&self, late_ms: u64) -> Vec<Verdict> {
        let mut run = self.run.clone();
        judge(&mut run, Duration::from_millis(late_ms));
        run.verdicts
    }

    fn judged(&self) -> Vec<Verdict> {
        self.judged_by(0)
    }

    fn holds(&self) -> bool {
        let verdicts = self.judged();
        assert!(!verdicts.is_empty());
        verdicts.iter().all(|verdict| verdict.holds)
    }

    /// The verdict on the one expectation that fails.
    fn fails(&self) -> Verdict {
        let mut failed: Vec<_> =
            self.judged().into_iter().filter(|verdict| !verdict.holds).collect();
        assert_eq!(failed.len(), 1, "{:#?}", self.judged());
        failed.remove(0)
    }
}

const LASTS: &str = "{ host = \"client\", state = \"FIN_WAIT_2\", lasts = \"tcp_fin_timeout\", ends = \"timer\", then = \"CLOSED\" }";

/// A client that stays in `FIN_WAIT_2` for this long.
fn fin_wait_2(milliseconds: u64) -> JudgedTale {
    JudgedTale::new(LASTS)
        .change(1000, Host::Client, FinWait1, FinWait2)
        .witness(1100, Host::Client, &[FinWait2])
        .changed(1000 + milliseconds, Host::Client, FinWait2, Closed, |change| {
            change.reason = Some(Reason::Timer);
        })
        .witness(1200 + milliseconds, Host::Client, &[])
}

#[test]
fn a_state_lasts_from_a_tick_before_its_time_to_ten_milliseconds_after_the_wheels() {
    for milliseconds in [59_996, 60_000, 60_270, 62_048, 62_058] {
        assert!(fin_wait_2(milliseconds).holds(), "{milliseconds}");
    }
    for (milliseconds, measured) in [(59_992, "59.992 s"), (62_059, "62.059 s")] {
        let verdict = fin_wait_2(milliseconds).fails();
        assert_eq!(verdict.what, "client stays in FIN_WAIT_2");
        assert_eq!((verdict.expected.as_str(), verdict.measured.as_str()), ("60 s", measured));
    }
}

#[test]
fn a_time_tells_where_it_comes_from() {
    let verdict = fin_wait_2(60_270).judged().remove(0);
    assert_eq!(
        verdict.because.as_deref(),
        Some("tcp_fin_timeout = 60, timer wheel 2.05 s"),
        "sock_diag is mentioned in the last verdict on a state"
    );
    let last = fin_wait_2(60_270).judged().pop().unwrap();
    assert_eq!(last.because.as_deref(), Some("sock_diag saw it, too"));
}

#[test]
fn sysctls_are_those_of_the_run_and_textbook_numbers_are_what_they_are() {
    let mut shortened = fin_wait_2(30_100);
    shortened.run.sysctls[0].fin_timeout = Duration::from_secs(30);
    assert!(shortened.holds());
    let mut textbook = JudgedTale::new(&LASTS.replace("tcp_fin_timeout", "60s"));
    textbook.run.story = shortened.run.story.clone();
    textbook.run.sysctls = shortened.run.sysctls;
    assert_eq!(textbook.fails().expected, "60 s");
}

#[test]
fn what_is_late_is_late_as_much_as_a_control_timer_of_the_same_run() {
    let late = fin_wait_2(62_070);
    assert!(late.judged_by(12).iter().all(|verdict| verdict.holds));
    assert!(!late.judged_by(11).iter().all(|verdict| verdict.holds));
}

#[test]
fn a_state_that_nobody_else_saw_does_not_count() {
    let mut tale = fin_wait_2(60_270);
    tale.run.story.retain(|moment| !matches!(moment.what, MomentKind::Witness(_)));
    let verdict = tale.fails();
    assert!(verdict.measured.contains("sock_diag did not see it"), "{verdict:?}");
    // An earlier answer that did not change says nothing about later times.
    tale = tale.witness(62_000, Host::Client, &[FinWait2]);
    assert!(!tale.holds());
}

#[test]
fn a_state_that_never_came_or_never_ended_is_told() {
    let verdict = JudgedTale::new(LASTS).fails();
    assert_eq!(
        (verdict.what.as_str(), verdict.measured.as_str()),
        ("client enters FIN_WAIT_2", "never")
    );
    let mut endless = fin_wait_2(60_270);
    endless.run.story.truncate(2);
    let measured: Vec<_> = endless.judged().into_iter().map(|verdict| verdict.measured).collect();
    assert_eq!(measured, ["still there after 999.000 s when the run ended", "not at all"]);
}

#[test]
fn another_end_than_expected_is_told() {
    let tale = fin_wait_2(60_270);
    let reset = JudgedTale::new(LASTS)
        .change(1000, Host::Client, FinWait1, FinWait2)
        .witness(1100, Host::Client, &[FinWait2])
        .changed(61_270, Host::Client, FinWait2, Closed, |change| {
            change.reason = Some(Reason::ResetReceived);
        });
    assert!(tale.holds());
    let verdict = reset.fails();
    assert_eq!(verdict.expected, "for CLOSED, by timer");
    assert_eq!(verdict.measured, "for CLOSED, by reset_received");
}

#[test]
fn what_stays_to_the_end_must_not_end() {
    let expect = "{ host = \"client\", state = \"FIN_WAIT_2\", lasts = \"to the end\" }";
    let stays = JudgedTale::new(expect).change(1000, Host::Client, FinWait1, FinWait2).witness(
        1100,
        Host::Client,
        &[FinWait2],
    );
    assert!(stays.holds());
    let ends = stays.change(3000, Host::Client, FinWait2, Closed);
    assert_eq!(ends.fails().measured, "it ended after 2.000 s");
}

#[test]
fn a_timer_is_judged_when_it_is_set() {
    let expect = "{ host = \"client\", state = \"TIME_WAIT\", timer = \"60s\" }";
    let set = |milliseconds: u64| {
        JudgedTale::new(expect).changed(
            1000,
            Host::Client,
            FinWait2,
            TcpState::TimeWait,
            |change| {
                change.ends_at = Some(at(1000 + milliseconds));
            },
        )
    };
    let seen = |tale: JudgedTale| tale.witness(1100, Host::Client, &[TcpState::TimeWait]);
    assert!(seen(set(61_000)).holds());
    assert!(!seen(set(30_000)).holds());
    let none = JudgedTale::new(expect).change(1000, Host::Client, FinWait2, TcpState::TimeWait);
    assert_eq!(seen(none).fails().measured, "no timer was seen");
}

#[test]
fn a_clock_that_starts_again_can_be_what_counts() {
    let expect = "{ host = \"client\", state = \"FIN_WAIT_2\", lasts = \"60s\", counted_from = \"the last restart\" },\n\
                  { host = \"client\", restarts = \"FIN_WAIT_2\" }";
    let restart = Restart {
        at: at(5000),
        subject: JudgedTale::subject(Host::Client, true),
        state: FinWait2,
        in_state: None,
        ends_at: None,
        starts: false,
        inferred: false,
    };
    let tale = JudgedTale::new(expect)
        .change(1000, Host::Client, FinWait1, FinWait2)
        .witness(1100, Host::Client, &[FinWait2])
        .add(5000, Host::Client, MomentKind::TrackedEvent(Box::new(TrackedEvent::Restart(restart))))
        .change(65_500, Host::Client, FinWait2, Closed);
    assert!(tale.holds(), "{:#?}", tale.judged());
}

/// A SYN that is retransmitted after these gaps, and given up after the last.
fn syn(expect: &str, gaps_ms: &[u64]) -> JudgedTale {
    let mut tale = JudgedTale::new(expect).change(0, Host::Client, Closed, SynSent);
    let (last, gaps_ms) = gaps_ms.split_last().unwrap();
    let mut now = 0;
    for gap in gaps_ms {
        now += gap;
        tale = tale.again(now, Host::Client, SegmentKind::Syn, Some(*gap));
    }
    tale.change(now + last, Host::Client, SynSent, Closed)
}

const TEXTBOOK: &str =
    "{ host = \"client\", retransmits = \"syn\", schedule = \"waits(1s, 2s, 4s, 8s)\" }";

#[test]
fn each_attempt_of_a_schedule_and_its_end_have_a_window() {
    let tale = syn(TEXTBOOK, &[1020, 2040, 4100, 8200]);
    let what: Vec<_> = tale.judged().into_iter().map(|verdict| verdict.what).collect();
    assert_eq!(
        what,
        [
            "client: SYN retry 1",
            "client: SYN retry 2",
            "client: SYN retry 3",
            "client: gives up after retry 3"
        ]
    );
    let expected: Vec<_> = tale.judged().into_iter().map(|verdict| verdict.expected).collect();
    assert_eq!(expected, ["1 s", "2 s", "4 s", "8 s"]);
    assert!(tale.holds());
}

#[test]
fn attempts_that_are_early_late_missing_or_too_many_fail_by_themselves() {
    for (gaps_ms, what) in [
        ([1020, 1992, 4100, 8200].as_slice(), "client: SYN retry 2"),
        (&[1020, 2300, 4100, 8200], "client: SYN retry 2"),
        (&[1020, 2040, 4100, 4100], "client: gives up after retry 3"),
    ] {
        assert_eq!(syn(TEXTBOOK, gaps_ms).fails().what, what, "{gaps_ms:?}");
    }
    let failed = |gaps_ms: &[u64]| -> Vec<_> {
        let verdicts = syn(TEXTBOOK, gaps_ms).judged();
        verdicts.into_iter().filter(|it| !it.holds).map(|it| (it.what, it.measured)).collect()
    };
    let missing = failed(&[1020, 2040, 12_300]);
    assert!(
        missing.contains(&("client: SYN retry 3".to_owned(), "not sent".to_owned())),
        "{missing:?}"
    );
    let more = failed(&[1020, 2040, 4100, 8200, 16_400]);
    assert!(
        more.contains(&("client: SYN retry 4".to_owned(), "1 more than expected".to_owned())),
        "{more:?}"
    );
}

#[test]
fn the_sysctls_of_the_run_make_the_schedule_of_a_syn() {
    let expect = "{ host = \"client\", retransmits = \"syn\", schedule = \"syn_schedule\" },\n\
                  { host = \"client\", retransmits = \"syn\", count = \"tcp_syn_retries\" }";
    let mut tale = syn(expect, &[1020, 2040, 4100, 8200]);
    assert!(!tale.holds(), "by the defaults there are ten");
    tale.run.sysctls[0].syn_linear_timeouts = 0;
    tale.run.sysctls[0].syn_retries = 3;
    assert!(tale.holds(), "{:#?}", tale.judged());
}

/// The FIN of an orphan, with a tail loss probe first.
fn orphan(gaps_ms: &[u64]) -> JudgedTale {
    let expect = "{ host = \"client\", retransmits = \"fin\", schedule = \"orphan_schedule\" }";
    let mut tale = JudgedTale::new(expect).change(0, Host::Client, Established, FinWait1);
    tale.run.sysctls[0].orphan_retries = 1;
    let (last, gaps_ms) = gaps_ms.split_last().unwrap();
    let (mut now, mut rto) = (0, None);
    for gap in gaps_ms {
        now += gap;
        tale = tale.again(now, Host::Client, SegmentKind::Fin, rto);
        rto = Some(rto.map_or(204, |rto| rto * 2));
    }
    tale.change(now + last, Host::Client, FinWait1, Closed)
}

#[test]
fn the_measured_rto_makes_the_schedule_of_a_fin() {
    let tale = orphan(&[204, 208, 412, 824]);
    assert!(tale.holds(), "{:#?}", tale.judged());
    let first = tale.judged().remove(0);
    assert_eq!(first.what, "client: FIN retry 1, a tail loss probe");
    assert!(first.because.unwrap().contains("RTO 204 ms"));
    assert_eq!(orphan(&[204, 180, 412, 824]).fails().what, "client: FIN retry 2");
}

#[test]
fn without_a_retransmission_there_is_no_rto_to_judge_by() {
    let tale = orphan(&[500]);
    assert!(tale.fails().measured.contains("retransmission timeout is not known"));
}

#[test]
fn paths_are_exact_and_leave_listeners_apart() {
    let expect = "{ host = \"server\", path = [\"LISTEN\", \"SYN_RECV\", \"ESTABLISHED\"] }";
    let tale = JudgedTale::new(expect)
        .change(0, Host::Server, Closed, Listen)
        .change(10, Host::Server, Listen, SynRecv)
        .change(11, Host::Server, SynRecv, Established);
    assert!(tale.holds(), "{:#?}", tale.judged());
    let longer = tale.change(12, Host::Server, Established, Closed);
    assert_eq!(longer.fails().measured, "LISTEN → SYN_RECV → ESTABLISHED → CLOSED");
}

#[test]
fn a_state_that_must_not_come_is_told_with_its_moment() {
    let expect = "{ host = \"client\", never = \"FIN_WAIT_2\" }";
    assert!(JudgedTale::new(expect).holds());
    let entered = JudgedTale::new(expect).change(1500, Host::Client, FinWait1, FinWait2);
    assert_eq!(entered.fails().measured, "at 1.5000 s");
}

#[test]
fn calls_are_judged_by_what_they_return_and_how_long_they_take() {
    let refused = "{ host = \"client\", returned = \"connect\", result = \"ECONNREFUSED\", takes = \"at_once\" }";
    let run = |took: u64, result| {
        JudgedTale::new(refused).call(0, "connect", None).call(took, "connect", Some(result))
    };
    assert!(run(1, Err("ECONNREFUSED")).holds());
    assert_eq!(run(1, Ok(0)).fails().measured, "0");
    assert_eq!(run(1, Err("ETIMEDOUT")).fails().measured, "ETIMEDOUT");
    assert_eq!(run(61, Err("ECONNREFUSED")).fails().what, "client's connect() takes");
    assert_eq!(JudgedTale::new(refused).fails().measured, "it did not return");
    let ok = "{ host = \"client\", returned = \"connect\", result = 0 }";
    assert!(JudgedTale::new(ok).call(1, "connect", Some(Ok(0))).holds());
}

fn segment(way: Way, flags: TcpFlags, dropped_by: Option<u8>) -> MomentKind {
    MomentKind::Segment(Box::new(SegmentEvent {
        at: at(5),
        netns: Netns(2),
        ends: ends(Host::Server, true),
        way,
        flags,
        seq: 0,
        ack: 0,
        len: 0,
        window: 0,
        options: TcpOptions::default(),
        dropped_by,
    }))
}

#[test]
fn segments_are_counted_by_flags_way_and_rule() {
    let tale = |count| {
        let expect = format!(
            "{{ host = \"server\", segments = \"SYN\", count = {count}, dropped_by = \"no-syn\" }}"
        );
        JudgedTale::new(&expect)
            .add(5, Host::Server, segment(Way::In, TcpFlags::SYN, Some(0)))
            .add(6, Host::Server, segment(Way::In, TcpFlags::SYN, Some(0)))
            .add(7, Host::Server, segment(Way::In, TcpFlags::SYN, None))
            .add(8, Host::Server, segment(Way::In, TcpFlags::ACK, Some(0)))
            .add(9, Host::Client, segment(Way::In, TcpFlags::SYN, Some(0)))
    };
    assert!(tale(2).holds());
    let verdict = tale(3).fails();
    assert_eq!(verdict.what, "server: SYN that come in, dropped by no-syn");
    assert_eq!((verdict.expected.as_str(), verdict.measured.as_str()), ("3", "2"));
}

#[test]
fn resets_are_judged_by_their_direction() {
    let reset = |expect: &str| {
        let reset = TrackedReset {
            at: at(5),
            subject: JudgedTale::subject(Host::Client, true),
            state: Some(Established),
            direction: ResetDirection::Sent,
            why: None,
        };
        JudgedTale::new(&format!("{{ host = \"client\", reset = \"{expect}\" }}")).add(
            5,
            Host::Client,
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Reset(reset))),
        )
    };
    assert!(reset("sent").holds());
    assert_eq!(reset("received").fails().measured, "sent");
    assert_eq!(reset("none").fails().measured, "sent");
    assert!(JudgedTale::new("{ host = \"client\", reset = \"none\" }").holds());
}

#[test]
fn a_reset_that_the_kernel_does_not_tell_of_is_seen_on_the_link() {
    let on_link = |way, expect: &str| {
        let tale = JudgedTale::new(&format!("{{ host = \"server\", reset = \"{expect}\" }}"));
        tale.add(5, Host::Server, segment(way, TcpFlags::RST, None))
    };
    assert!(on_link(Way::Out, "sent").holds());
    assert_eq!(on_link(Way::In, "sent").fails().measured, "none");
    assert_eq!(on_link(Way::In, "received").fails().measured, "none");
}

#[test]
fn any_time_is_no_window() {
    let mut tale = JudgedTale::new(&LASTS.replace("tcp_fin_timeout", "any"));
    tale.run.story = fin_wait_2(90_000).run.story;
    let verdict = tale.judged().remove(0);
    assert!(verdict.holds);
    assert_eq!((verdict.expected.as_str(), verdict.times), ("any time", None));
}
