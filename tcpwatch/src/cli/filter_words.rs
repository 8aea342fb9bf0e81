//! The filters of the log as words of a line: `port:443` is `--port 443`.

use clap::{CommandFactory as _, Parser};
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{probe::Filters, source::snapshot};
use tcpwatch_top::filter::LogFilter;

use super::args::FilterArgs;

/// The filters of the log alone, as a command line.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true, color = clap::ColorChoice::Never)]
struct LogFilters {
    #[command(flatten)]
    filters: FilterArgs,
}

/// Reads a filter by its name; `None` if there is none of this name. What reads the command line reads it.
#[must_use]
pub fn read(name: &str, value: Option<&str>) -> Option<Result<LogFilter, String>> {
    let command = LogFilters::command();
    let known = command.get_arguments().find(|option| match (name, option.get_long()) {
        ("4", Some("ipv4")) | ("6", Some("ipv6")) => true,
        (name, long) => long == Some(name),
    })?;
    let long = known.get_long()?;
    let takes = known.get_action().takes_values();
    // A word that happens to be called like an option asks for itself.
    let word = match (takes, value) {
        (true, Some(value)) => format!("--{long}={value}"),
        (false, None) => format!("--{long}"),
        (true, None) => return None,
        (false, Some(_)) => return Some(Err(format!("\"{name}\" stands alone"))),
    };
    let words = LogFilters::try_parse_from([word]).map_err(|error| first_line(&error));
    Some(words.and_then(|words| decide(words.filters)))
}

/// What is wrong, without how a command line is written.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // "invalid value 'x' for '--port <PORTS>': "
    let rest = line.split_once(">': ").or_else(|| line.split_once("...': "));
    rest.map_or(line, |(_, rest)| rest).to_owned()
}

fn decide(filters: FilterArgs) -> Result<LogFilter, String> {
    let netns = filters.netns.as_deref().map(|word| match word.parse() {
        Ok(inode) => Ok(Netns(inode)),
        Err(_) => snapshot::resolve(word),
    });
    let netns = netns.transpose().map_err(|error| error.to_string())?;
    let kernel = Filters { netns, states: Vec::new(), ..filters.in_kernel() };
    let places = filters.places();
    Ok(Box::new(move |subject, state, place| {
        kernel.wants(subject.netns, &subject.ends)
            && (filters.state.is_empty() || filters.state.contains(&state))
            && filters.want(subject)
            && places.wants(place)
    }))
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::{
        event::{Endpoint, Endpoints, TcpState},
        track::Subject,
    };

    use super::*;

    fn wants(name: &str, value: Option<&str>) -> Result<bool, String> {
        let end = |port| Endpoint { address: [10, 0, 0, 7].into(), port };
        let ends = Endpoints { local: end(8080), remote: end(50_000) };
        let filter = read(name, value).unwrap_or_else(|| Err(format!("{name}: unknown")))?;
        Ok(filter(&Subject::unknown(None, Netns(7), ends), TcpState::CloseWait, None))
    }

    #[test]
    fn the_filter_line_understands_the_filters_of_the_log() {
        for (name, value, wanted) in [
            ("port", Some("8000-8080"), true),
            ("port", Some("443"), false),
            ("addr", Some("10.0.0.0/8"), true),
            ("state", Some("close-wait"), true),
            ("state", Some("established"), false),
            ("netns", Some("7"), true),
            ("4", None, true),
            ("6", None, false),
            ("accepted", None, false),
            ("pid", Some("1"), false),
        ] {
            assert_eq!(wants(name, value), Ok(wanted), "{name} {value:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_word_is_said_as_on_the_command_line() {
        for (name, value, says) in [
            ("port", Some("0"), "port 0 is no port; ports are 1 to 65535"),
            ("state", Some("closing2"), "\"closing2\" is not a TCP state"),
            ("accepted", Some("x"), "stands alone"),
        ] {
            let error = wants(name, value).unwrap_err();
            assert!(error.starts_with(says) || error.contains(says), "{error}");
        }
        assert!(read("nginx", None).is_none());
        assert!(read("comm", None).is_none(), "a bare word");
    }
}
