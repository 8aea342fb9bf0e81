//! Parsed files, and the errors of files that cannot be used.

use proptest::prelude::*;
use tcpwatch_core::event::{TcpFlags, TcpState, Way};
use tcpwatch_kernel::probe::DroppedSegments;

use super::*;
use crate::scenario::{Action, Call, CallKind, Condition, ScenarioStep};

const HEAD: &str = "title = \"t\"\nclaim = \"c\"\n";
const EXPECT: &str = "expect = [{ host = \"client\", never = \"CLOSING\" }]\n";

fn with_steps(steps: &str) -> String {
    format!("{HEAD}steps = [\n{steps}\n]\n{EXPECT}")
}

fn read_full(text: &str) -> Result<Scenario, FileError> {
    read("mine.toml", text, &Choices::default())
}

fn refusal(text: &str) -> String {
    match read_full(text) {
        Ok(scenario) => panic!("was read: {scenario:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn steps_have_the_usual_port_and_sockets() {
    let scenario =
        read_full(&with_steps("{ server = \"listen\" },\n{ server = \"accept\" }")).unwrap();
    assert_eq!(scenario.name, "mine");
    let call =
        |socket: &str, kind| Action::Call(Host::Server, Call { socket: socket.to_owned(), kind });
    assert_eq!(
        scenario.steps,
        [
            ScenarioStep {
                line: 4,
                action: call("listener", CallKind::Listen { port: 11_111, backlog: 16 })
            },
            ScenarioStep {
                line: 5,
                action: call("connection", CallKind::Accept { listener: "listener".to_owned() })
            },
        ]
    );
}

#[test]
fn a_text_that_a_terminal_would_obey_is_refused() {
    let text = with_steps("").replace("\"t\"", "\"t\\u001b[2J\"");
    let refusal = refusal(&text);
    assert!(refusal.contains("has the control character \\u{1b}"), "{refusal}");
    assert!(!refusal.contains('\u{1b}'), "{refusal}");
    assert!(
        read_full(&with_steps("").replace("\"t\"", "\"\"\"t\nu\"\"\"")).is_ok(),
        "lines are no harm"
    );
}

#[test]
fn a_rule_drops_what_has_its_flags_and_no_others() {
    let text = format!(
        "{}[[rule]]\nname = \"no-syn-ack\"\non = \"client\"\nflags = \"SYN+ACK\"\nfor = \"2s\"\nfrom_start = true\n",
        with_steps("{ release = \"no-syn-ack\" }")
    );
    let scenario = read_full(&text).unwrap();
    assert_eq!(
        scenario.rules,
        [DropRule {
            name: "no-syn-ack".to_owned(),
            host: Host::Client,
            drops: DroppedSegments {
                way: Way::In,
                local_port: None,
                remote_port: None,
                mask: TcpFlags(0b1_0111),
                value: TcpFlags(0b1_0010),
                count: None,
                for_ns: Some(2_000_000_000),
            },
            from_start: true,
        }]
    );
}

#[test]
fn a_wait_lasts_ten_seconds_longer_than_what_it_waits_for() {
    let text = format!(
        "{}[sysctls]\nclient.tcp_fin_timeout = 30\n",
        with_steps("{ wait = \"client\", state = \"FIN-WAIT-2\", within = \"tcp_fin_timeout\" }")
    );
    let scenario = read_full(&text).unwrap();
    let Some(ScenarioStep { action: Action::Wait { condition, within }, .. }) =
        scenario.steps.first()
    else {
        panic!("no wait");
    };
    assert_eq!(*condition, Condition::State(Host::Client, TcpState::FinWait2));
    assert_eq!(*within, Duration::from_secs(40) + Duration::from_millis(2048));
    assert_eq!(scenario.takes, Duration::from_secs(30));
}

#[test]
fn a_profile_has_sysctls_and_steps_of_its_own() {
    let text = format!(
        "{}[sysctls]\nboth.tcp_fin_timeout = 60\n[quick.sysctls]\nclient.tcp_fin_timeout = 5\n",
        with_steps("{ only = \"full\", server = \"listen\" }")
    );
    let of = |profile| read("x", &text, &Choices { profile, ..Choices::default() }).unwrap();
    let timeout = |scenario: &Scenario, host| scenario.sysctls[&host]["tcp_fin_timeout"].clone();
    let (quick, full) = (of(Profile::Quick), of(Profile::Full));
    assert_eq!((quick.steps.len(), full.steps.len()), (0, 1));
    assert_eq!(timeout(&quick, Host::Client), "5");
    assert_eq!(timeout(&quick, Host::Server), "60");
    assert_eq!(timeout(&full, Host::Client), "60");
}

#[test]
fn a_runs_own_sysctls_come_last() {
    let text = format!("{}[sysctls]\nboth.tcp_fin_timeout = 60\n", with_steps(""));
    let own = BTreeMap::from([("tcp_fin_timeout".to_owned(), "7".to_owned())]);
    let set = BTreeMap::from([(Host::Client, own)]);
    let scenario = read("x", &text, &Choices { set, ..Choices::default() }).unwrap();
    assert_eq!(scenario.sysctls[&Host::Client]["tcp_fin_timeout"], "7");
}

#[test]
fn an_error_shows_the_line_and_the_fix() {
    let text = with_steps("    { server = \"listen\", prt = 1 }");
    assert_eq!(
        refusal(&text),
        "mine.toml, line 4: `prt`: is not known here\n    \
         4 |     { server = \"listen\", prt = 1 }\n      \
         |                          ^^^\n\
         did you mean `port`?"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    for (steps, line, parts) in [
        ("{ server = \"listn\" }", 4, ["\"listn\" is not known", "did you mean `listen`?"]),
        ("{ server = \"listen\", port = 0 }", 4, ["not a valid number", "from 1 to 65535"]),
        ("{ server = \"listen\", port = \"x\" }", 4, ["not a valid number", "from 1 to"]),
        (
            "{ wait = \"server\", state = \"FIN_WAIT_3\" }",
            4,
            ["not a TCP state", "did you mean `FIN_WAIT_"],
        ),
        ("{ wait = \"server\" }", 4, ["does not say for what", "a pause is not possible"]),
        (
            "{ wait = \"server\", state = \"LISTEN\", within = \"1 parsec\" }",
            4,
            ["not a unit of time", "`us`"],
        ),
        (
            "{ wait = \"server\", state = \"LISTEN\", within = \"3\" }",
            4,
            ["a time is needed", "write how long"],
        ),
        ("{ wait = \"nobody\", state = \"LISTEN\" }", 4, ["\"nobody\" is not known", "`client`"]),
        ("{ set = \"x\" }", 4, ["no rule \"x\"", "there is none"]),
        ("{ }", 4, ["does nothing", "begin a step with"]),
        ("{ client = \"send\", bytes = 0 }", 4, ["not a valid number", "from 1"]),
        ("7", 4, ["is integer, not a table", "{ key = value"]),
    ] {
        let message = refusal(&with_steps(steps));
        assert!(message.starts_with(&format!("mine.toml, line {line}: ")), "{message}");
        for part in parts {
            assert!(message.contains(part), "{steps}: {message}");
        }
    }
}

#[test]
fn steps_that_cannot_be_done_are_refused_with_what_to_do() {
    for (steps, line, parts) in [
        ("{ server = \"accept\" }", 4, ["needs a socket that listens", "{ server = \"listen\" }"]),
        ("{ client = \"send\" }", 4, ["send() is not possible", "`connect` or an `accept`"]),
        ("{ client = \"close\" }", 4, ["close() is not possible", "name by `socket`"]),
        ("{ client = \"bind\" }", 4, ["bind() is not possible", "put a `socket`"]),
        (
            "{ client = \"connect\" },\n{ client = \"connect\" }",
            5,
            ["a connection already", "name of its own"],
        ),
        (
            "{ server = \"stop\" },\n{ server = \"listen\" }",
            5,
            ["is stopped and calls nothing", "continue"],
        ),
        ("{ server = \"continue\" }", 4, ["is not stopped", "{ server = \"stop\" }"]),
        (
            "{ server = \"kill\" },\n{ server = \"listen\" }",
            5,
            ["process has ended", "before that"],
        ),
        (
            "{ client = \"connect\" },\n{ client = \"recv\", then = \"close\" },\n{ client = \"close\" }",
            6,
            ["close() is not possible", "is closed"],
        ),
        (
            "{ client = \"connect\" },\n{ client = \"recv\", then = \"open\" }",
            5,
            ["\"open\" is not known", "`close`"],
        ),
        (
            "{ client = \"connect\", together = true }",
            4,
            ["does not wait to connect together", "{ server = \"connect\", together = true }"],
        ),
        (
            "{ wait = \"client\", returned = \"connect\" }",
            4,
            ["has not called connect()", "{ client = \"connect\" }"],
        ),
    ] {
        let message = refusal(&with_steps(steps));
        assert!(message.starts_with(&format!("mine.toml, line {line}: ")), "{message}");
        for part in parts {
            assert!(message.contains(part), "{steps}: {message}");
        }
    }
}

#[test]
fn a_recv_that_closes_has_both_calls_to_wait_for() {
    let steps = "{ client = \"connect\" },\n{ client = \"recv\", then = \"close\" },\n\
                 { wait = \"client\", returned = \"recv\" },\n\
                 { wait = \"client\", returned = \"close\" }";
    let scenario = read_full(&with_steps(steps)).unwrap();
    let closes = CallKind::RecvThenClose { bytes: None };
    assert!(matches!(&scenario.steps[1].action, Action::Call(_, call) if call.kind == closes));
}

#[test]
fn rules_that_cannot_be_meant_are_refused_with_what_to_do() {
    let rule = |rest: &str| format!("[[rule]]\nname = \"r\"\non = \"client\"\n{rest}\n");
    let many: Vec<_> =
        (0..9).map(|n| format!("[[rule]]\nname = \"r{n}\"\non = \"client\"\n")).collect();
    for (rules, steps, parts) in [
        (rule("flags = \"SIN\""), "", ["\"SIN\" is not a flag", "FIN SYN RST"]),
        (rule("flags = \"SYN\"\nmask = \"SYN\""), "", ["cannot be combined", "either `flags`"]),
        (rule("mask = \"SYN\"\nvalue = \"ACK\""), "", ["not in `mask`", "never match"]),
        (rule("way = \"up\""), "", ["\"up\" is not known", "`in`"]),
        (rule("") + &rule(""), "", ["another rule has", "of its own"]),
        (many.concat(), "", ["exceeds the number of rules", "8 are possible"]),
        (rule(""), "{ release = \"r\" }", ["\"r\" is not set", "{ set = \"r\" }"]),
        (rule("from_start = true"), "{ set = \"r\" }", ["is set already", "leave it out"]),
        (rule(""), "{ set = \"rr\" }", ["no rule \"rr\"", "did you mean `r`?"]),
        (
            rule(""),
            "{ wait = \"client\", dropped_by = \"r\" }",
            ["drops nothing", "{ set = \"r\" }"],
        ),
    ] {
        let message = refusal(&(with_steps(steps) + &rules));
        for part in parts {
            assert!(message.contains(part), "{rules}{steps}: {message}");
        }
    }
}

#[test]
fn sysctls_that_cannot_be_set_are_refused_with_what_to_do() {
    for (sysctls, parts) in [
        ("client.tcp_max_orphans = 1", ["belongs to the whole machine", "leave it out"]),
        ("client.\"../x\" = 1", ["is not the name of a sysctl", "/proc/sys/net/ipv4"]),
        ("client.tcp_fin_timeout = true", ["is boolean, not a text", "quotation marks"]),
        ("host.tcp_fin_timeout = 1", ["is not known here", "`client`"]),
    ] {
        let message = refusal(&format!("{}[sysctls]\n{sysctls}\n", with_steps("")));
        for part in parts {
            assert!(message.contains(part), "{sysctls}: {message}");
        }
    }
}

#[test]
fn a_file_without_its_parts_is_refused() {
    assert!(refusal("claim = \"c\"\nsteps = []").contains("`title`: is missing"));
    assert!(refusal(HEAD).contains("`steps`: is missing"));
    assert!(refusal("title = \"t").contains("no TOML"));
    assert!(
        refusal(&format!("{HEAD}tite = 1\nsteps = []\n{EXPECT}")).contains("did you mean `title`?")
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        let _read = read_full(&text);
        let _read = read_full(&with_steps(&text));
        let quoted = text.replace(['"', '\\'], "");
        let _read = read_full(&with_steps(&format!(
            "{{ wait = \"client\", state = \"{quoted}\", within = \"{quoted}\" }}"
        )));
    }

    #[test]
    fn no_expression_makes_the_reader_panic(text in "[-+*/()a-z_0-9. ,]{0,60}") {
        let step = format!("{{ wait = \"client\", state = \"LISTEN\", within = \"{text}\" }}");
        let _read = read_full(&with_steps(&step));
    }
}
