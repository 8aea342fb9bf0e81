//! Everything that JSON marks about a line, text marks, too.

use super::recording::{Played, data, replay};

const RECORDINGS: [&str; 4] =
    ["server_closes_soon", "server_closes_late", "much_goes_wrong", "client_closes_first_v4"];

fn text(name: &str) -> Vec<String> {
    let text = replay(&data(&format!("{name}.jsonl")), &["--color", "never"]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn lines_that_are_late_asked_for_or_inferred_are_marked_in_text_as_in_json() {
    let mut marked = 0;
    for name in RECORDINGS {
        let (json, text) = (Played::named(name, &[]), text(name));
        for mark in ["asked", "inferred", "late"] {
            let shown = json.lines.iter().filter(|line| line["event"] != "connection");
            let in_json = shown.filter(|line| line[mark] == true).count();
            let in_text = text.iter().filter(|line| line.contains(&format!(" · {mark}"))).count();
            assert_eq!(in_text, in_json, "{mark} in {name}");
            marked += in_json;
        }
    }
    assert!(marked > 0, "a recording has such a change");
}

#[test]
fn a_line_is_late_if_and_only_if_one_before_it_is_of_a_later_moment() {
    for name in RECORDINGS {
        let mut newest = 0;
        for line in Played::named(name, &[]).lines {
            let at = line["mono_ns"].as_u64().expect("a number");
            assert_eq!(line["late"] == true, at < newest, "{line}");
            newest = newest.max(at);
        }
    }
}

#[test]
fn the_namespace_is_named_where_there_is_more_than_one_and_only_there() {
    for name in RECORDINGS {
        assert!(text(name).iter().all(|line| !line.contains("netns ")), "{name}");
    }
    let two = "syn_ack_is_lost_on_a_link";
    let json = Played::named(two, &[]).lines;
    let json: Vec<_> = json.iter().filter(|line| line["event"] != "connection").collect();
    let first = &json[0]["netns"];
    let second = json.iter().position(|line| line["netns"] != *first).expect("a second namespace");
    let text = text(two);
    let lines = text.iter().filter(|line| !line.starts_with("TIME"));
    let mut named = 0;
    for (place, line) in lines.enumerate() {
        let mark = line.split_once(" · netns ").map(|(_, inode)| inode.to_owned());
        assert_eq!(mark.is_some(), place >= second, "{line}");
        named += usize::from(mark.is_some());
    }
    assert!(named > 5, "{named}");
}
