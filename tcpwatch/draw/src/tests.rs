//! Draws a report of five real runs, and what is made of it.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tcpwatch_core::{event::KernelTime, track::TrackedEvent};
use tcpwatch_lab::{
    host::Host,
    language::Language,
    report::{self, Document},
    show::{self, PerHost, TerminalLayout},
    story::{MomentKind, Run},
};

use crate::{atlas, coverage::Coverage, sequence};

const REPORT: &str = include_str!("../../tests/data/lab/report.json");

fn document(text: &str) -> Document {
    report::read("r.json", text.as_bytes()).unwrap()
}

fn page(text: &str) -> String {
    atlas::html(&[document(text)], Language::En).unwrap()
}

fn value() -> Value {
    serde_json::from_str(REPORT).unwrap()
}

fn svg(scenario: &str) -> String {
    let document = document(REPORT);
    let run = document.runs.iter().find(|run| run.scenario.name == scenario).unwrap();
    sequence::svg(run, Language::En).unwrap()
}

/// The texts of a picture, without their elements, as a reader sees them.
fn texts(svg: &str) -> Vec<String> {
    let texts = svg.split("<text").skip(1).filter_map(|text| {
        let (text, _) = text.split_once("</text>")?;
        // The outline behind a word that an arrow may cross.
        if text.contains("class=\"halo\"") {
            return None;
        }
        Some(text.split_once('>')?.1.replace("&#62;", ">"))
    });
    texts.collect()
}

#[test]
fn the_same_reports_give_the_same_bytes() {
    assert_eq!(page(REPORT), page(REPORT));
    assert_eq!(svg("closing"), svg("closing"));
}

#[test]
fn the_picture_has_the_rows_the_words_and_the_times_of_the_text_diagram() {
    for run in &document(REPORT).runs {
        let mut text = Vec::new();
        let layout = TerminalLayout { color: false, width: 250 };
        show::diagram(layout, run, &mut text);
        // An arrow that passes a word stands in its spaces.
        let text = String::from_utf8(text).unwrap().replace('\u{2502}', " ");
        let mut room = PerHost::default();
        for host in Host::ALL {
            *room.of_mut(host) = 40;
        }
        let rows = show::rows(run, room);
        let picture = texts(&sequence::svg(run, Language::En).unwrap());
        for row in &rows {
            let time = row.at.since(run.started);
            let written = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
            assert!(picture.contains(&written), "{written} in {picture:?}");
            let written = format!("{}.{:04}", time.as_secs(), time.subsec_micros() / 100);
            assert!(text.contains(&written), "{written} in {text}");
            for host in Host::ALL {
                let panel = row.panels.of(host);
                for note in panel.notes.iter().chain(&panel.state) {
                    assert!(text.contains(&note.text), "{note:?} in {text}");
                    for word in note.text.split(' ') {
                        assert!(picture.iter().any(|text| text.contains(word)), "{word}");
                    }
                }
            }
            if let Some(label) = row.arrow.as_ref().and_then(|arrow| arrow.labels.first()) {
                assert!(text.contains(label) && picture.contains(label), "{label}");
            }
        }
        let times =
            sequence::svg(run, Language::En).unwrap().matches("<text class=\"time\"").count();
        assert_eq!(times, rows.len() + 1, "one for each row, and the heading");
    }
}

#[test]
fn a_segment_whose_arrival_was_not_seen_is_drawn_as_unknown_and_not_as_lost() {
    let mut document = document(REPORT);
    let run = document.runs.iter_mut().find(|run| run.scenario.name == "closing").unwrap();
    let is_arrival = |kind: &MomentKind| matches!(kind, MomentKind::Segment(segment) if segment.way == tcpwatch_core::event::Way::In);
    let place = run.story.iter().position(|moment| is_arrival(&moment.what)).unwrap();
    run.story.remove(place);
    let svg = sequence::svg(run, Language::En).unwrap();
    assert_eq!(svg.matches("class=\"arrow unknown\"").count(), 1);
    assert!(svg.contains("whether it arrived is not known"), "{svg}");
    assert!(texts(&svg).contains(&"?".to_owned()));
}

#[test]
fn a_dropped_segment_has_the_rule_that_dropped_it_and_a_retry_its_attempt_once() {
    let svg = svg("syn-sent");
    let stars = texts(&svg).iter().filter(|text| *text == "\u{2605} no-syn-ack").count();
    assert_eq!(svg.matches("class=\"arrow dropped\"").count(), stars);
    assert!(stars > 2, "{svg}");
    for retry in ["SYN retry 1, +1.02 s", "SYN retry 2, +2.01 s"] {
        assert_eq!(texts(&svg).iter().filter(|text| *text == retry).count(), 1, "{retry}");
    }
    assert!(texts(&svg).contains(&"connect(3) = -1 ETIMEDOUT".to_owned()));
    assert!(
        !texts(&svg).iter().any(|text| text.contains('#')),
        "one connection, whose port was chosen later"
    );
}

#[test]
fn a_timer_that_outlasts_the_run_is_drawn_to_the_end_with_the_time_when_it_is_due() {
    let svg = svg("closing");
    assert!(texts(&svg).iter().any(|text| text.starts_with("due at 6")), "{svg}");
}

#[test]
fn every_link_leads_to_an_id_and_no_id_occurs_twice() {
    let page = page(REPORT);
    let mut ids = BTreeSet::new();
    for id in page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.insert(id), "{id} twice");
    }
    let links: Vec<_> =
        page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 60, "{}", links.len());
    for link in links {
        assert!(ids.contains(link), "{link}");
    }
    let references = page.split("url(#").skip(1).filter_map(|rest| rest.split(')').next());
    for reference in references {
        assert!(ids.contains(reference), "{reference}");
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page(REPORT).replace("http://www.w3.org/2000/svg", "");
    for word in ["src=", "http:", "https:", "@import", "url(h", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
}

/// Puts `text` into each string that a user, a file or the kernel has chosen.
fn spoil(value: &mut Value, text: &str) {
    const FOREIGN: [&str; 17] = [
        "scenario",
        "title",
        "claim",
        "rule",
        "what",
        "expected",
        "measured",
        "because",
        "kernel",
        "tcpwatch",
        "call",
        "name",
        "socket_name",
        "errno_name",
        "why",
        "failure",
        "warnings",
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(_) if FOREIGN.contains(&name.as_str()) => *member = json!(text),
                    Value::Array(_) if name == "warnings" => *member = json!([text]),
                    other => spoil(other, text),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| spoil(value, text)),
        _ => {}
    }
}

#[test]
fn hostile_words_in_any_field_add_no_element_and_no_control_character() {
    let hostile = "</script></title>--><b id=\"x\" onload='1'>]]>&amp;\u{1b}[31m\u{0}";
    let mut value = value();
    value["runs"][0]["failure"] = json!("");
    spoil(&mut value, hostile);
    let text = value.to_string();
    let page = page(&text);
    let svg = sequence::svg(&document(&text).runs[0], Language::En).unwrap();
    for drawn in [&page, &svg] {
        assert!(!drawn.contains("<b id") && !drawn.contains("]]>"), "escaped");
        assert!(!drawn.contains(|c: char| c.is_control() && c != '\n'), "printable");
        assert!(drawn.contains("&#60;b id"), "shown");
    }
    assert_eq!(page.matches("</script>").count(), 1);
}

#[test]
fn a_scenario_that_does_not_hold_is_in_the_title_the_heading_and_first() {
    let mut value = value();
    value["runs"][1]["verdicts"][0]["holds"] = false.into();
    let page = page(&value.to_string());
    assert!(page.contains("<title>1 failed: tcpwatch atlas</title>"));
    assert!(page.contains("<h1>1 scenario does not hold"), "{page}");
    let first = page.split("<section class=\"scenario\" id=\"").nth(1).unwrap();
    assert!(first.starts_with("s-syn-sent"), "first on the page");
}

#[test]
fn reports_of_two_kernels_stand_side_by_side() {
    let other = REPORT.replace("\"6.18.44\"", "\"6.1.158\"");
    let page = atlas::html(&[document(&other), document(REPORT)], Language::En).unwrap();
    for kernel in ["6.1.158", "6.18.44"] {
        assert!(page.contains(&format!("<th scope=\"col\">{kernel}</th>")), "{kernel}");
        assert!(page.contains(&format!("<th scope=\"col\">measured, {kernel}</th>")), "{kernel}");
    }
    assert_eq!(page.matches("<section class=\"scenario\"").count(), 5);
}

#[test]
fn transitions_are_counted_from_the_changes_of_state_and_not_from_gaps() {
    let mut all = document(REPORT);
    let coverage = Coverage::of(std::slice::from_ref(&all));
    // All but LISTEN to CLOSED, LISTEN to SYN_SENT, SYN_RECV to LISTEN and to FIN_WAIT_1, FIN_WAIT_1 to TIME_WAIT, and
    // what LAST_ACK and TIME_WAIT come to: no run ends so.
    let never = coverage.transitions.iter().filter(|transition| !transition.is_taken());
    let never: Vec<String> =
        never.map(|transition| format!("{} {}", transition.from, transition.to)).collect();
    assert_eq!(coverage.taken() + never.len(), 21);
    assert!(never.contains(&"SYN_RECV LISTEN".to_owned()), "{never:?}");
    let before = coverage.taken();
    for moment in all.runs.iter_mut().flat_map(|run| &mut run.story) {
        if let MomentKind::TrackedEvent(event) = &mut moment.what
            && let TrackedEvent::Change(change) = &mut **event
        {
            change.gap = true;
        }
    }
    assert!(before > 10 && Coverage::of(&[all]).taken() == 0, "{before}");
}

/// A run with `count` segments of a handshake that never ends.
fn long(count: u64) -> Run {
    let mut document = document(REPORT);
    let mut run = document.runs.remove(0);
    let is_segment = |kind: &MomentKind| matches!(kind, MomentKind::Segment(_));
    let segment = run.story.iter().find(|moment| is_segment(&moment.what)).unwrap().clone();
    run.story.clear();
    for number in 0..count {
        let mut segment = segment.clone();
        segment.at = KernelTime(run.started.0 + number * 10_000_000);
        if let MomentKind::Segment(event) = &mut segment.what {
            event.at = segment.at;
        }
        run.story.push(segment);
    }
    run.ended = run.started.after(Duration::from_millis(count * 10));
    run
}

#[test]
fn of_ten_thousand_segments_the_first_and_the_last_are_drawn_and_the_rest_is_counted() {
    let svg = sequence::svg(&long(10_000), Language::En).unwrap();
    assert!(svg.contains("9600 rows are left out here"), "{}", svg.len());
    assert!(svg.len() < 300_000, "{}", svg.len());
    assert!(texts(&svg).contains(&"99.990000".to_owned()), "the last");
}

#[test]
fn each_retransmission_is_a_dot_in_the_window_that_the_one_before_announced() {
    let document = document(REPORT);
    let run = |name: &str| document.runs.iter().find(|run| run.scenario.name == name).unwrap();
    let plot = crate::schedule::svg(run("syn-sent"), Language::En).unwrap().unwrap();
    assert!(
        plot.contains("client SYN attempt 2: after 2.015 s, allowed 2.000 to 2.256 s"),
        "{plot}"
    );
    assert!(plot.contains("client gives up: after 4.255 s, allowed 4.000 to 4."), "{plot}");
    assert!(!plot.contains("class=\"outside\""), "{plot}");
    assert!(
        crate::schedule::svg(run("fin-wait-2"), Language::En).unwrap().is_none(),
        "nothing was sent again"
    );
}

#[test]
fn texts_of_built_in_scenarios_are_in_the_language_that_is_asked_for() {
    let page = atlas::html(&[document(REPORT)], Language::Zh).unwrap();
    assert!(page.contains("<span lang=\"zh-Hans\">\u{5bf9}\u{7aef}"), "{page}");
    let again =
        REPORT.replace("the peer never closes", "mine").replace("A closed socket whose", "Mine");
    let page = atlas::html(&[document(&again)], Language::Zh).unwrap();
    assert!(page.contains("</code> mine</h2>"), "a scenario of that name that is another: {page}");
}

#[test]
fn a_report_without_runs_is_a_page_that_says_so() {
    let page =
        page("{\"schema\":1,\"tcpwatch\":\"0\",\"kernel\":\"6.1\",\"runs\":[],\"not_run\":[]}");
    assert!(page.contains("<h1>0 of 0 verdicts hold</h1>"), "{page}");
}

#[test]
fn the_page_and_its_pictures_have_their_words_in_the_language_that_is_asked_for() {
    let page = atlas::html(&[document(REPORT)], Language::Ja).unwrap();
    assert!(page.contains("<html lang=\"ja\">"), "{page}");
    for english in
        ["Skip to", "State machine", "Sequence diagram", "measured,", "By hand", "arrows fall"]
    {
        assert!(!page.contains(english), "{english}");
    }
    let run = &document(REPORT).runs[0];
    let picture = sequence::svg(run, Language::Zh).unwrap();
    assert!(picture.contains(">\u{5ba2}\u{6237}\u{7aef}</text>"), "{picture}");
}
