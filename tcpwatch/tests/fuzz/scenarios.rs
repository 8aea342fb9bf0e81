//! Foreign scenario files, and expressions in them.

use proptest::{prelude::*, sample::select};
use tcpwatch_lab::{
    catalog, explain,
    scenario::{Choices, Expression, expression::EvaluationContext, read},
    show::TerminalLayout,
};

use super::{
    cases::cases,
    spoiled::{spoil, with_words},
};

const WORDS: &[&str] = &[
    "\n",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\"",
    "'''",
    "[[expect]]\n",
    "[[rule]]\n",
    "[sysctls]\n",
    "client",
    "server",
    "wait",
    "state",
    "within",
    "after",
    "lasts",
    "never",
    "count",
    "min(",
    "max(",
    "any",
    "at_once",
    "syn_schedule",
    "orphan_schedule",
    "retries2_schedule",
    "fin_wait_2(",
    "waits(",
    "user_timeout(",
    "tcp_fin_timeout",
    "18446744073709551615",
    "9223372036854775807",
    "-1",
    "0",
    "1e9h",
    "99999999999h",
    "1us",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    "nan",
    "0x7fffffff",
    "1979-05-27",
];

/// It is refused with one of its lines, or it can be parsed, explained and evaluated.
fn try_out(text: &str) {
    let choices = Choices::default();
    match read("mine.toml", text, &choices) {
        Ok(scenario) => {
            let layout = TerminalLayout { color: false, width: 80 };
            assert!(!explain::show(&scenario, &choices, layout).is_empty(), "{text}");
        }
        Err(error) => {
            let lines = text.lines().count() + 1;
            assert!((1..=lines).contains(&error.line()), "line {} of {lines}", error.line());
            assert!(error.to_string().contains("mine.toml, line "), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_spoiled_scenario_is_read_or_refused_at_a_line(
        built_in in select(catalog::all()),
        damages in with_words(WORDS),
    ) {
        let mut bytes = built_in.text.as_bytes().to_vec();
        spoil(&mut bytes, &damages);
        try_out(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_line(text in "(?s).{0,300}") {
        try_out(&text);
    }

    #[test]
    fn an_expression_of_any_words_has_a_value_or_an_error(
        words in proptest::collection::vec(prop_oneof![
            4 => select(WORDS).prop_map(str::to_owned),
            2 => "[0-9]{1,20}(us|ms|s|min|h)?",
            2 => select(vec!["+", "-", "*", "/", "(", ")", ",", " "]).prop_map(str::to_owned),
            1 => "[a-z_]{1,12}[(]?",
        ], 0..24),
    ) {
        try_expression(&words.concat());
    }
}

fn try_expression(text: &str) {
    let Ok(expression) = Expression::parse(text) else { return };
    let choices = Choices::default();
    let context = EvaluationContext {
        sysctls: &choices.kernel,
        pinned: None,
        rate: choices.rate,
        rto: Some(tcpwatch_lab::scenario::LOCAL_RTO),
    };
    let _value = expression.window(&context);
    let _value = expression.schedule(&context);
    let _value = expression.number(&context);
    let _value = expression.timers(&context);
}

#[test]
fn a_deep_or_long_expression_ends() {
    for text in [
        "(".repeat(1_000_000),
        format!("{}1s{}", "(".repeat(5_000), ")".repeat(5_000)),
        "min(".repeat(100_000),
        vec!["1s"; 200_000].join("+"),
        format!("waits({})", vec!["1s"; 200_000].join(",")),
        "9".repeat(1_000_000),
        format!("{}s", "9".repeat(1_000_000)),
    ] {
        try_expression(&text);
    }
}

#[test]
fn a_deep_or_long_file_ends() {
    const HEAD: &str = "title = \"t\"\nclaim = \"c\"\n";
    for text in [
        format!("{HEAD}steps = {}", "[".repeat(200_000)),
        format!("{HEAD}steps = {}", "{a=".repeat(200_000)),
        format!("{HEAD}{}", "[a".repeat(200_000)),
        format!("{HEAD}a{} = 1", ".a".repeat(200_000)),
        format!("{HEAD}steps = [{}]", "{ server = \"socket\" },\n".repeat(20_000)),
        format!("{HEAD}{}", "[[rule]]\nname = \"a\"\n".repeat(20_000)),
        "\u{feff}\u{0}".repeat(100_000),
    ] {
        try_out(&text);
    }
}
