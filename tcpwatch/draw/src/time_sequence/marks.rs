//! The letters of the plot: what a bar or a line alone does not say. Colour is never alone.

use tcpwatch_core::event::{KernelTime, TcpFlags, Way};

use super::{
    AREA,
    flow::{Flow, SentSegment},
    scale::{ByteScale, TimeScale, number},
};
use crate::words::PageWords;

/// Letters at the same place that are nearer than this are one.
const APART: f64 = 9.0;

/// A letter and where it stands.
#[derive(Debug)]
pub(super) struct PlotMark {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) anchor: &'static str,
    /// `again`, `control`, `reset`, `zero`, `probe` or `ack`.
    pub(super) class: &'static str,
    pub(super) text: &'static str,
    pub(super) title: String,
}

/// A letter before it is placed.
struct Letter {
    at: KernelTime,
    bytes: u32,
    /// The distance from the place of its bytes, down.
    below: f64,
    class: &'static str,
    text: &'static str,
    what: String,
}

/// All letters, in the order of their kinds.
pub(super) fn marks(flow: &Flow, time: &TimeScale, bytes: &ByteScale) -> Vec<PlotMark> {
    let sent = flow.sent.iter().flat_map(of_sent);
    let letters = sent.chain(of_acks(flow)).chain(of_resets(flow));
    let mut placed: Vec<(f64, f64, &'static str)> = Vec::new();
    let mut marks = Vec::new();
    for letter in letters {
        let x = time.x(letter.at);
        let y = (bytes.y(letter.bytes) + letter.below).clamp(AREA.2 + 6.0, AREA.3 + 14.0);
        let is_there = |(there_x, there_y, text): &(f64, f64, &'static str)| {
            *text == letter.text && (there_x - x).abs() < APART && (there_y - y).abs() < APART
        };
        if placed.iter().rev().take(64).any(is_there) {
            continue;
        }
        placed.push((x, y, letter.text));
        let at_the_right = x > AREA.1 - 60.0;
        let (anchor, beside) = if at_the_right { ("end", -6.0) } else { ("start", 6.0) };
        marks.push(PlotMark {
            x: number(x + beside),
            y: number(y),
            anchor,
            class: letter.class,
            text: letter.text,
            title: letter.what,
        });
    }
    marks
}

fn of_sent(sent: &SentSegment) -> impl Iterator<Item = Letter> {
    let SentSegment { at, flags, start, len, again, dropped, probe } = *sent;
    let end = sent.end();
    let letter =
        move |below, class, text, what: String| Letter { at, bytes: end, below, class, text, what };
    let control = [(TcpFlags::SYN, "SYN"), (TcpFlags::FIN, "FIN")].into_iter();
    let control = control.filter(move |(flag, _)| flags.has(*flag)).map(move |(_, name)| {
        let way = if again { ", sent again" } else { "" };
        letter(14.0, "control", name, format!("{name}{way}"))
    });
    let again = (again && len > 0)
        .then(|| letter(-4.0, "again", "R", format!("bytes {start} to {end} are sent again")));
    let dropped = dropped.then(|| {
        letter(-18.0, "again", "\u{2605}", format!("bytes {start} to {end} are dropped by a rule"))
    });
    let probe = probe
        .then(|| letter(13.0, "probe", "P", "a probe, without data, to get an answer".to_owned()));
    control.chain(again).chain(dropped).chain(probe)
}

fn of_acks(flow: &Flow) -> impl Iterator<Item = Letter> {
    flow.acks.iter().flat_map(|ack| {
        let letter = |below, class, text, what: String| Letter {
            at: ack.at,
            bytes: ack.up_to,
            below,
            class,
            text,
            what,
        };
        let zero = ack.zero.then(|| {
            let what = format!("bytes up to {} are acknowledged, the window is zero", ack.up_to);
            letter(-5.0, "zero", "Z", what)
        });
        let third = (ack.repeated == 3).then(|| {
            let what = format!("the third acknowledgment that repeats {}", ack.up_to);
            letter(14.0, "ack", "3", what)
        });
        zero.into_iter().chain(third)
    })
}

fn of_resets(flow: &Flow) -> impl Iterator<Item = Letter> {
    let highest = flow.highest();
    flow.resets.iter().map(move |reset| {
        let (text, what) = match reset.way {
            Way::In => ("RST_IN", "the peer resets the connection"),
            Way::Out => ("RST_OUT", "the sender resets the connection"),
        };
        let at = reset.at;
        Letter { at, bytes: highest, below: -6.0, class: "reset", text, what: what.to_owned() }
    })
}

/// What the marks of this plot mean.
pub(super) fn legend(
    marks: &[PlotMark],
    flow: &Flow,
    has_window: bool,
    words: &PageWords,
) -> String {
    let is_there = |text: &str| marks.iter().any(|mark| mark.text == text);
    let letters = [
        ("R", words.mark_r),
        ("\u{2605}", words.mark_star),
        ("Z", words.mark_z),
        ("P", words.mark_p),
        ("3", words.mark_3),
        ("RST_IN", words.mark_rst_in),
        ("RST_OUT", words.mark_rst_out),
    ];
    let is_scaled = flow.acks.iter().any(|ack| ack.allowed.is_some());
    let window = match (has_window, is_scaled) {
        (true, _) => words.window_line,
        (false, true) => words.window_above,
        (false, false) => words.window_unknown,
    };
    let mut parts = vec![words.bars, words.acked_line, window];
    parts.extend(letters.iter().filter(|(text, _)| is_there(text)).map(|(_, words)| *words));
    parts.join(" \u{b7} ")
}
