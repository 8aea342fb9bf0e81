use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Serialize)]
struct Inner {
    yes: bool,
}

#[derive(Serialize)]
struct All<'a> {
    text: &'a str,
    bytes: ForeignText<'a>,
    named: BTreeMap<&'a str, &'a str>,
    text_as_bytes: ForeignText<'a>,
    always: Word,
    number: u64,
    seconds: Seconds,
    inside: Inner,
    null: Option<u8>,
    list: Vec<Option<i8>>,
    empty: Vec<u8>,
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(text: String, bytes: Vec<u8>, number: u64, seconds: u32, nanos in 0_u32..1_000_000_000) {
        let all = All {
            text: &text,
            bytes: ForeignText(&bytes),
            named: [(text.as_str(), text.as_str())].into(),
            text_as_bytes: ForeignText(text.as_bytes()),
            always: Word("same"),
            number,
            seconds: Seconds(Duration::new(seconds.into(), nanos)),
            inside: Inner { yes: true },
            null: None,
            list: vec![Some(-1), None],
            empty: Vec::new(),
        };
        let mut out = Vec::new();
        write(&all, &mut out);
        let read: Value = serde_json::from_slice(&out).expect("it is JSON");
        let exact = f64::from(seconds) + f64::from(nanos) / 1e9;
        prop_assert_eq!(&read["text"], &json!(text));
        prop_assert_eq!(&read["bytes"], &json!(String::from_utf8_lossy(&bytes)));
        prop_assert_eq!(&read["text_as_bytes"], &json!(text));
        prop_assert_eq!(&read["named"][&text], &json!(text));
        prop_assert_eq!(&read["always"], &json!("same"));
        prop_assert_eq!(&read["number"], &json!(number));
        prop_assert!((read["seconds"].as_f64().unwrap() - exact).abs() < 1e-6);
        prop_assert_eq!(&read["inside"], &json!({ "yes": true }));
        prop_assert_eq!(&read["null"], &Value::Null);
        prop_assert_eq!(&read["list"], &json!([-1, null]));
        prop_assert_eq!(&read["empty"], &json!([]));
        let mut parts = Vec::new();
        Object::write(&mut parts, |object| {
            object.add(&all);
        });
        prop_assert_eq!(parts, out, "an object of one part");
    }
}

#[test]
fn parts_are_members_of_one_object() {
    let mut out = Vec::new();
    Object::write(&mut out, |object| {
        object.add(&Inner { yes: true });
        object.list("list", [1, 2], |item, out| write(&item, out));
        object.list("empty", [0; 0], |item, out| write(&item, out));
        object.add(&BTreeMap::from([("a", 1)]));
    });
    let expected = r#"{"yes":true,"list":[1,2],"empty":[],"a":1}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    Object::write(&mut out, |_| {});
    assert_eq!(String::from_utf8(out).unwrap(), "{}");
}

#[test]
fn text_that_a_terminal_obeys_is_escaped() {
    let mut out = Vec::new();
    write("a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{e9}", &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "\"a\\u001b[2J\\u007f\\u009b31m\\u202eb\u{e9}\"");
}

#[test]
fn seconds_keep_every_nanosecond_and_no_zero_too_many() {
    for (nanoseconds, text) in
        [(0, "0.0"), (9684, "0.000009684"), (60_100_000_000, "60.1"), (1, "0.000000001")]
    {
        let mut out = Vec::new();
        write(&Seconds(Duration::from_nanos(nanoseconds)), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
