//! `tcpwatch explain`.

use tcpwatch_doctor::Kind;

use super::program::{Answer, tcpwatch};

#[test]
fn a_word_is_explained_on_stdout_and_several_words_are_one() {
    for (words, says) in [
        (["explain", "close-wait"].as_slice(), "CLOSE_WAIT · state\n"),
        (&["explain", "ECONNREFUSED"], "refused · reason, end\n"),
        (&["explain", "tcp", "abort", "on", "close"], "tcp_abort_on_close · reason of a reset\n"),
        (&["explain", "state"], "state · event\n"),
        (&["explain", "state"], "state · field of JSON lines\n"),
    ] {
        let answer = Answer::of(&mut tcpwatch(words));
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        assert!(answer.stdout.contains(says), "{answer:?}");
    }
}

#[test]
fn without_a_word_all_words_are_listed() {
    let answer = Answer::of(&mut tcpwatch(&["explain"]));
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    for word in ["CLOSE_WAIT", "no_port", "AFTER", "in_state_s", "ring_full", "tcp_state"] {
        assert!(answer.stdout.contains(word), "{word}: {answer:?}");
    }
}

#[test]
fn a_word_without_an_entry_is_wrong_usage_and_gets_the_nearest_ones() {
    let words =
        ["no entry for \"TIME_WIAT\"", "did you mean TIME_WAIT", "`tcpwatch explain` lists"];
    Answer::of(&mut tcpwatch(&["explain", "TIME_WIAT"])).refuses(2, &words);
}

#[test]
fn each_finding_of_the_doctor_has_a_page_with_its_rule_and_is_in_the_list() {
    let list = Answer::of(&mut tcpwatch(&["explain"])).stdout;
    for kind in Kind::ALL {
        let answer = Answer::of(&mut tcpwatch(&["explain", kind.word()]));
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        let title = format!("{} \u{b7} finding of doctor\n", kind.word());
        assert!(answer.stdout.contains(&title), "{answer:?}");
        for label in ["causes", "look", "when"] {
            assert!(answer.stdout.contains(&format!("\n  {label} ")), "{label}: {answer:?}");
        }
        assert!(list.contains(kind.word()), "{}", kind.word());
    }
}
