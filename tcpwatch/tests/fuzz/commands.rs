//! Arbitrary words as the value of a filter or of another option.

use clap::{Parser as _, error::ErrorKind};
use proptest::{prelude::*, sample::select};
use tcpwatch::cli::Cli;

use super::cases::cases;

const OPTIONS: &[&str] = &[
    "--port",
    "--local-port",
    "--remote-port",
    "--addr",
    "--state",
    "--netns",
    "--pid",
    "--comm",
    "--duration",
    "--count",
    "--buffer",
    "--record",
    "--format",
    "--color",
    "--time",
    "--web.listen-address",
];

/// Wrong usage ends with status 2, as clap does it.
fn parse(words: &[&str]) -> Result<Cli, String> {
    let words = ["tcpwatch"].iter().chain(words);
    Cli::try_parse_from(words).map_err(|error| {
        assert!(error.exit_code() == 2 || is_asked_for(error.kind()), "{error}");
        assert!(error.to_string().len() > 10, "it says something: {error}");
        error.to_string()
    })
}

fn is_asked_for(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Words that are nearly ports, prefixes, states, durations or sizes, and arbitrary ones.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-0-9,]{0,14}",
        "[0-9a-fA-F:./]{0,24}",
        "([0-9]{1,3}[.]){3}[0-9]{1,3}(/[0-9]{1,3})?",
        "[0-9.eE+-]{0,10}[a-zA-Z]{0,4}",
        "[-_a-zA-Z0-9#, ]{0,20}",
        "(FIN|fin|TIME|SYN|state#)[-_ ]?(WAIT|RECV|[0-9]{1,4})?[-_]?[0-9]?",
        "(?s).{0,30}",
        select(vec![
            "",
            "-",
            "--",
            "18446744073709551616",
            "1e400",
            "inf",
            "nan",
            "\u{202e}",
            "\0"
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn any_word_is_taken_or_refused_as_wrong_usage(option in select(OPTIONS), word in words()) {
        let _taken = parse(&[option, &word]);
        let _taken = parse(&[&format!("{option}={word}")]);
        let _taken = parse(&["replay", "file", &format!("{option}={word}")]);
        let _taken = parse(&["lab", "run", "x", &format!("--set={word}")]);
    }

    #[test]
    fn any_words_are_taken_or_refused_as_wrong_usage(
        line in proptest::collection::vec(prop_oneof![
            select(OPTIONS).prop_map(str::to_owned),
            select(vec!["lab", "run", "show", "list", "serve", "check", "replay", "--all", "-4", "-6",
                "--lives", "--failed", "--retries", "--set", "--jobs", "--help", "--version"])
                .prop_map(str::to_owned),
            words(),
        ], 0..7),
    ) {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let _taken = parse(&words);
    }

    #[test]
    fn ports_are_read_as_they_are_written(ranges in proptest::collection::vec((1..=u16::MAX, 0..100_u16), 1..6)) {
        let ranges: Vec<_> =
            ranges.into_iter().map(|(first, more)| first..=first.saturating_add(more)).collect();
        let written: Vec<String> = ranges
            .iter()
            .map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            })
            .collect();
        let cli = parse(&["--port", &written.join(",")]).expect("good ports");
        prop_assert_eq!(cli.filters.port, ranges);
    }

    #[test]
    fn prefixes_are_read_as_they_are_written(address: std::net::IpAddr, length in 0..=128_u8) {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let net = ipnet::IpNet::new(address, length.min(most)).expect("a prefix").trunc();
        let cli = parse(&["--addr", &net.to_string()]).expect("a good prefix");
        prop_assert_eq!(&cli.filters.addr, &[net]);
        let cli = parse(&["--addr", &address.to_string()]).expect("a good address");
        prop_assert_eq!(&cli.filters.addr, &[ipnet::IpNet::from(address)]);
    }

    #[test]
    fn states_are_read_as_they_are_shown(number: u8) {
        use tcpwatch_core::event::TcpState;
        let state = TcpState::from_kernel(number);
        let cli = parse(&["--state", &state.to_string()]).expect("a state's name");
        prop_assert_eq!(&cli.filters.state, &[state]);
    }

    #[test]
    fn durations_and_sizes_are_read_as_they_are_written(seconds in 1..u32::MAX, size in 12..=30_u32) {
        use std::time::Duration;
        let duration = Duration::from_secs(seconds.into());
        let words = [seconds.to_string(), humantime::format_duration(duration).to_string()];
        for word in words {
            let cli = parse(&["--duration", &word]).expect("a duration");
            prop_assert_eq!(cli.live.duration, Some(duration), "{}", word);
        }
        let bytes = 1_u32 << size;
        let (kibi, mebi) = (bytes >> 10, bytes >> 20);
        for word in [bytes.to_string(), format!("{kibi}K"), format!("{mebi}M")] {
            if word != "0M" {
                let cli = parse(&["--buffer", &word]).expect("a size");
                prop_assert_eq!(cli.live.buffer, bytes, "{}", word);
            }
        }
    }
}
