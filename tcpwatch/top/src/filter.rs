//! The words of the filter line: those of the log, `port:443` for `--port 443`, and a few about time. Spaces
//! mean and, a comma or, `!` not; a bare word is a part of an address, of an owner's name or of its unit.

use std::{fmt::Write as _, num::ParseFloatError, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, TcpState},
    place::CgroupPlace,
    track::Subject,
};

use crate::row::SocketRow;

/// A filter of the log, decided by what is known of a socket.
pub type LogFilter = Box<dyn Fn(&Subject, TcpState, Option<&CgroupPlace>) -> bool>;

/// Understands a filter of the log by its name, as the command line does; `None` if there is none of this name.
pub type LogWords = fn(name: &str, value: Option<&str>) -> Option<Result<LogFilter, String>>;

/// Which sockets are in the view. All terms must hold.
#[derive(Default)]
pub struct Filter {
    terms: Vec<Term>,
}

struct Term {
    not: bool,
    /// One of these must hold.
    any: Vec<Test>,
}

enum Test {
    Log(LogFilter),
    Word(String),
    Age(Than),
    Until(Than),
    Tries { more: bool, count: u32 },
}

#[derive(Clone, Copy)]
struct Than {
    more: bool,
    limit: Duration,
}

/// What a filter says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterVerdict {
    /// It is in the view.
    pub wanted: bool,
    /// When that may change though nothing happens to the socket.
    pub again_at: Option<KernelTime>,
}

impl Filter {
    /// Reads the words of a line.
    ///
    /// # Errors
    /// Says what is wrong with the first word that is not understood, and how to write it.
    pub fn parse(line: &str, log: LogWords) -> Result<Self, String> {
        let terms = line.split_whitespace().map(|word| term(word, log)).collect::<Result<_, _>>();
        Ok(Self { terms: terms? })
    }

    /// Every socket is in the view.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Is this socket in the view?
    #[must_use]
    pub fn judge(
        &self,
        row: &SocketRow,
        place: Option<&CgroupPlace>,
        now: KernelTime,
    ) -> FilterVerdict {
        let mut verdict = FilterVerdict { wanted: true, again_at: None };
        for term in &self.terms {
            let any = term.any.iter().any(|test| test.holds(row, place, now));
            verdict.wanted &= any != term.not;
            let moments = term.any.iter().filter_map(|test| test.changes_at(row));
            let next = moments.filter(|at| *at > now);
            verdict.again_at = verdict.again_at.into_iter().chain(next).min();
        }
        verdict
    }
}

fn term(word: &str, log: LogWords) -> Result<Term, String> {
    let (not, word) = match word.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    if word.is_empty() {
        return Err("! stands before a word: !state:LISTEN".to_owned());
    }
    if let Some(timed) = timed(word) {
        return Ok(Term { not, any: vec![timed?] });
    }
    let (name, value) = match word.strip_prefix('-') {
        Some(family) => (family, None),
        None => match word.split_once(':') {
            Some((name, value)) if is_name(name) => (name, Some(value)),
            _ => (word, None),
        },
    };
    let Some(values) = value else {
        return match log(name, None) {
            Some(filter) => Ok(Term { not, any: vec![Test::Log(filter?)] }),
            None if word.starts_with('-') => Err(format!("\"{word}\" is no filter; -4 and -6 are")),
            None => {
                let words = word.split(',').filter(|word| !word.is_empty());
                Ok(Term { not, any: words.map(|word| Test::Word(word.to_lowercase())).collect() })
            }
        };
    };
    let any = values.split(',').map(|value| match log(name, Some(value)) {
        Some(filter) => filter.map(Test::Log),
        None => Err(format!("\"{name}\" is no filter; ? has the list")),
    });
    Ok(Term { not, any: any.collect::<Result<_, _>>()? })
}

/// An IPv6 address has colons, too.
fn is_name(word: &str) -> bool {
    word.len() > 2
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && !word.chars().all(|c| c.is_ascii_hexdigit())
}

fn timed(word: &str) -> Option<Result<Test, String>> {
    let at = word.find(['>', '<'])?;
    let (name, limit) = word.split_at(at);
    let (more, limit) = (limit.starts_with('>'), limit.get(1..).unwrap_or_default());
    Some(match name {
        "age" => than(more, limit).map(Test::Age),
        "until" => than(more, limit).map(Test::Until),
        "tries" => match limit.parse() {
            Ok(count) => Ok(Test::Tries { more, count }),
            Err(_) => Err(format!("\"{limit}\" is no number; write tries>2")),
        },
        _ => Err(format!("\"{name}\" has no {}; age, until and tries have", &word[at..=at])),
    })
}

fn than(more: bool, limit: &str) -> Result<Than, String> {
    Ok(Than { more, limit: duration(limit)? })
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`, several of them one after the other; a number alone is seconds.
///
/// # Errors
/// If it is none of this.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration; write 500ms, 30s, 5m, 1m30s, 2h or 1d");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(unit_at);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let factor = match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += digits.parse::<f64>().map_err(|_error: ParseFloatError| wrong())? * factor;
        rest = next;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_error| wrong())
}

impl Than {
    fn holds(self, time: Duration) -> bool {
        if self.more { time > self.limit } else { time < self.limit }
    }
}

impl Test {
    fn holds(&self, row: &SocketRow, place: Option<&CgroupPlace>, now: KernelTime) -> bool {
        match self {
            Self::Log(filter) => filter(&row.subject, row.state, place),
            Self::Word(word) => has_word(row, place, word),
            Self::Age(than) => than.holds(row.in_state(now)),
            Self::Until(than) => row.until.is_some_and(|until| than.holds(until.at.since(now))),
            Self::Tries { more: true, count } => row.tries > *count,
            Self::Tries { more: false, count } => row.tries < *count,
        }
    }

    /// A moment at which the answer changes by itself.
    fn changes_at(&self, row: &SocketRow) -> Option<KernelTime> {
        // "More than" and "less than" are strict: a nanosecond later.
        match self {
            Self::Age(than) if row.ended.is_none() => {
                Some(KernelTime(row.age.since.after(than.limit).0.saturating_add(1)))
            }
            Self::Until(than) => {
                Some(KernelTime(row.until?.at.before(than.limit).0.saturating_add(1)))
            }
            _ => None,
        }
    }
}

fn has_word(row: &SocketRow, place: Option<&CgroupPlace>, word: &str) -> bool {
    let mut text = format!("{} {} ", row.subject.ends.local, row.subject.ends.remote);
    if let Some(owner) = row.owner() {
        // Writing to a string cannot fail.
        let _written = write!(text, "{} ", owner.comm).is_ok();
    }
    if let Some(place) = place {
        text.push_str(place.unit.as_deref().unwrap_or_default());
        text.push(' ');
        text.push_str(place.container.as_ref().map_or("", |container| container.short()));
    }
    text.to_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::event::{Endpoint, Endpoints, Netns};

    use super::*;
    use crate::row::{Age, Deadline};

    fn log(name: &str, value: Option<&str>) -> Option<Result<LogFilter, String>> {
        match (name, value) {
            ("port", Some(value)) => Some(match value.parse::<u16>() {
                Ok(port) => Ok(Box::new(move |subject: &Subject, _, _: Option<&CgroupPlace>| {
                    subject.ends.local.port == port
                })),
                Err(_) => Err(format!("\"{value}\" is no port")),
            }),
            _ => None,
        }
    }

    fn row(port: u16) -> SocketRow {
        let end = |port| Endpoint { address: [10, 0, 0, 7].into(), port };
        let ends = Endpoints { local: end(port), remote: end(5) };
        let age = Age { since: KernelTime(1_000_000_000), seen: true };
        SocketRow::new(Subject::unknown(None, Netns(1), ends), TcpState::Established, age)
    }

    fn wants(line: &str, row: &SocketRow, seconds: u64) -> bool {
        let filter = Filter::parse(line, log).unwrap_or_else(|error| panic!("{error}"));
        filter.judge(row, None, KernelTime(seconds * 1_000_000_000)).wanted
    }

    #[test]
    fn spaces_are_and_commas_or_and_an_exclamation_mark_not() {
        for (line, wanted) in [
            ("port:443,80", true),
            ("!port:443,80", false),
            ("port:80 10.0", true),
            ("port:80 10.1", false),
            ("nginx,0.0.7", true),
            ("!nginx", true),
            ("", true),
        ] {
            assert_eq!(wants(line, &row(80), 5), wanted, "{line}");
        }
    }

    #[test]
    fn an_age_is_decided_again_at_the_moment_at_which_it_changes() {
        let filter = Filter::parse("age>3s", log).unwrap_or_else(|error| panic!("{error}"));
        let row = row(80);
        let early = filter.judge(&row, None, KernelTime(2_000_000_000));
        assert_eq!((early.wanted, early.again_at), (false, Some(KernelTime(4_000_000_001))));
        let late = filter.judge(&row, None, KernelTime(4_000_000_001));
        assert_eq!((late.wanted, late.again_at), (true, None));
    }

    #[test]
    fn a_deadline_and_tries_can_be_asked_for() {
        let mut row = row(80);
        assert!(!wants("until<10s", &row, 2), "it has none");
        row.until = Some(Deadline { at: KernelTime(11_000_000_000), estimated: false });
        row.tries = 3;
        assert!(wants("until<10s tries>2", &row, 2));
        assert!(!wants("until<8s", &row, 2));
        assert!(!wants("tries<3", &row, 2));
    }

    #[test]
    fn a_word_that_is_not_understood_says_how_to_write_it() {
        for (line, says) in [
            ("port:x", "\"x\" is no port"),
            ("age>x", "write 500ms"),
            ("age>-1s", "write 500ms"),
            ("tries>x", "write tries>2"),
            ("rtt>1", "age, until and tries have"),
            ("color:red", "\"color\" is no filter"),
            ("!", "!state:LISTEN"),
            ("-5", "-4 and -6 are"),
        ] {
            let error = Filter::parse(line, log).err().unwrap_or_default();
            assert!(error.contains(says), "{line}: {error}");
        }
        assert!(Filter::parse("fe80::1 ::1", log).is_ok(), "an address");
    }
}
