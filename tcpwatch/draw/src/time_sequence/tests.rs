//! Plots of two real runs, and of what is made of them.

use tcpwatch_core::event::TcpFlags;
use tcpwatch_lab::report;

use super::*;
use tcpwatch_core::event::{SegmentEvent, Way};
use tcpwatch_lab::story::MomentKind;

const REPORT: &str = include_str!("../../../tests/data/lab/bytes.json");

fn run(scenario: &str) -> Run {
    let document = report::read("r.json", REPORT.as_bytes()).unwrap();
    document.runs.into_iter().find(|run| run.scenario.name == scenario).unwrap()
}

fn plot(run: &Run) -> String {
    let mut plots = svg(run, Language::En).unwrap();
    assert_eq!(plots.len(), 1, "the server sends too little");
    plots.remove(0).svg
}

fn count(plot: &str, letter: &str) -> usize {
    let marks = plot.split("<text class=\"p-").skip(1);
    let texts = marks.filter_map(|text| text.split_once("</text>")?.0.split_once('>'));
    texts.filter(|(_, text)| *text == letter).count()
}

/// Changes each segment on the client's link.
fn change(run: &mut Run, mut change: impl FnMut(&mut SegmentEvent)) {
    for moment in run.story.iter_mut().filter(|moment| moment.host == Host::Client) {
        if let MomentKind::Segment(segment) = &mut moment.what {
            change(segment);
        }
    }
}

#[test]
fn what_is_sent_again_and_what_a_rule_drops_is_marked() {
    let plot = plot(&run("data-retries"));
    assert_eq!(count(&plot, "R"), 7, "{plot}");
    assert_eq!(count(&plot, "\u{2605}"), 8, "the first one, too");
    assert_eq!(count(&plot, "SYN"), 1);
    assert!(plot.contains("<title>bytes 1 to 2 are sent again</title>"), "{plot}");
    assert!(plot.contains("segments with data: 8, retransmissions: 7, dropped by a rule: 8"));
    assert!(plot.contains("the window is above the picture"), "{plot}");
}

#[test]
fn zero_windows_and_probes_are_marked_and_the_window_is_a_line() {
    let run = run("zero-window");
    let flow = flows(&run).into_iter().find(|flow| flow.from == Host::Client).unwrap();
    assert_eq!(flow.sent.iter().filter(|sent| sent.probe).count(), 4);
    assert_eq!(flow.highest(), 60_001);
    let plot = plot(&run);
    assert!(count(&plot, "Z") >= 3 && count(&plot, "P") >= 3, "{plot}");
    assert!(plot.contains("class=\"allowed\""), "{plot}");
}

#[test]
fn sequence_numbers_that_wrap_around_change_nothing() {
    let mut run = run("zero-window");
    let before = plot(&run);
    change(&mut run, |segment| match segment.way {
        Way::Out => segment.seq = segment.seq.wrapping_add(u32::MAX - 70_000),
        Way::In => segment.ack = segment.ack.wrapping_add(u32::MAX - 70_000),
    });
    for by in [0_u32, 20_000, 40_000] {
        change(&mut run, |segment| match segment.way {
            Way::Out => segment.seq = segment.seq.wrapping_add(by),
            Way::In => segment.ack = segment.ack.wrapping_add(by),
        });
        let flow = flows(&run).into_iter().find(|flow| flow.from == Host::Client).unwrap();
        assert_eq!(flow.highest(), 60_001);
        assert_eq!(plot(&run), before);
    }
}

#[test]
fn resets_and_fins_are_marked_by_who_sent_them() {
    let mut run = run("data-retries");
    let mut number = 0;
    change(&mut run, |segment| {
        if segment.way == Way::Out {
            number += 1;
            match number {
                4 => segment.flags = TcpFlags::FIN,
                5 => segment.flags = TcpFlags::RST,
                _ => {}
            }
        }
    });
    let out = plot(&run);
    assert_eq!((count(&out, "FIN"), count(&out, "RST_OUT"), count(&out, "RST_IN")), (1, 1, 0));
    change(&mut run, |segment| {
        if segment.flags.has(TcpFlags::RST) {
            segment.way = Way::In;
        }
    });
    assert_eq!(count(&plot(&run), "RST_IN"), 1);
}

#[test]
fn without_the_syns_the_scale_of_windows_is_unknown_and_no_window_is_drawn() {
    let mut run = run("zero-window");
    run.story.retain(|moment| {
        !matches!(&moment.what, MomentKind::Segment(segment) if segment.flags.has(TcpFlags::SYN))
    });
    let plot = plot(&run);
    assert!(plot.contains("the window is not known") && !plot.contains("class=\"allowed\""));
}

#[test]
fn ten_thousand_segments_are_a_picture_of_limited_size() {
    let mut run = run("data-retries");
    let is_data = |moment: &&tcpwatch_lab::story::StoryEvent| matches!(&moment.what, MomentKind::Segment(segment) if segment.len > 0 && segment.way == Way::Out);
    let first = run.story.iter().find(is_data).unwrap().clone();
    for number in 0..10_000_u32 {
        let mut moment = first.clone();
        moment.at.0 += u64::from(number) * 1_000_000;
        if let MomentKind::Segment(segment) = &mut moment.what {
            segment.at = moment.at;
            segment.seq = segment.seq.wrapping_add(number * 100);
            segment.len = 100;
        }
        run.story.push(moment);
    }
    let size = plot(&run).len();
    assert!(size < 200_000, "{size}");
}
