//! What is wrong, and where in a recording it begins.

use super::shown::{COLORED, Shown};

fn wrong() -> Shown {
    Shown::open("much_goes_wrong.jsonl", (160, 48), COLORED)
}

#[test]
fn the_next_finding_is_gone_to_where_it_begins_and_one_of_its_sockets_is_selected() {
    let mut shown = wrong();
    assert!(shown.text().contains("nothing is wrong that can be seen"));
    shown.type_in("n");
    let text = shown.text();
    assert!(text.contains("findings: 1") && text.contains("got no answer"), "{text}");
    let at = shown.screen.live().sockets.now;
    let selected = shown.screen.selected.and_then(|id| shown.screen.live().sockets.get(id));
    let example = shown.screen.findings.chosen().and_then(|it| it.examples[0].socket);
    assert_eq!(selected.map(|row| row.subject.socket), Some(example));
    shown.type_in(",");
    assert!(!shown.text().contains("got no answer"), "it has not begun yet");
    shown.type_in("n");
    assert_eq!(shown.screen.live().sockets.now, at);
    shown.type_in("n");
    assert!(shown.text().contains("no finding begins after this"), "{}", shown.text());
    shown.type_in("300*. N");
    assert_eq!(shown.screen.live().sockets.now, at, "backwards, too");
    shown.type_in("N");
    assert!(shown.text().contains("no finding begins before this"));
}

#[test]
fn only_the_sockets_of_findings_are_shown_until_all_are_asked_for() {
    let mut shown = wrong();
    shown.type_in("n");
    let rows = |shown: &mut Shown| {
        let text = shown.text();
        let states = ["LISTEN  ", "TIME_WAIT  ", "CLOSED  "];
        text.lines().filter(|line| states.iter().any(|state| line.contains(state))).count()
    };
    let all = rows(&mut shown);
    shown.type_in("!");
    assert_eq!(rows(&mut shown), 1, "{}", shown.text());
    assert!(shown.text().contains("timed out, 0.2 s ago"), "{}", shown.text());
    shown.type_in("!");
    assert_eq!(rows(&mut shown), all);
}
