//! Advice with the values of a finding in place of its capitals, so that its commands can be run as they are.

use tcpwatch_core::event::Endpoints;

use crate::finding::{Finding, Kind};

impl Finding {
    /// What to look at next.
    #[must_use]
    pub fn checks(&self) -> Vec<String> {
        self.kind.advice().check.iter().map(|text| self.filled(text)).collect()
    }

    /// What to change: first by the values of this host, then in general.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let general = self.kind.advice().change.iter().map(|text| self.filled(text));
        self.change.iter().cloned().chain(general).collect()
    }

    fn filled(&self, text: &str) -> String {
        let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_in_word(c) != is_in_word(first)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match self.value(word) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(word),
            }
            rest = after;
        }
        filled
    }

    /// What a word in capitals stands for; `None` for every other, and where it is not known.
    fn value(&self, word: &str) -> Option<String> {
        let process = self.whose.process;
        let ends = || self.examples.first().map(|example| example.ends);
        match word {
            "PID" => process?.pid.map(|pid| pid.to_string()),
            "NAME" if self.kind == Kind::UnsafeSysctl => Some(self.about.clone()),
            "NAME" => Some(process?.comm.to_string()).filter(|name| is_plain(name)),
            "ADDRESS" => ends().map(|Endpoints { remote, .. }| remote.address.to_string()),
            "PORT" => ends().map(|Endpoints { local, .. }| local.port.to_string()),
            _ => None,
        }
    }
}

/// A name that a shell takes as it is.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::event::{Endpoint, Netns};

    use super::*;
    use crate::{Certainty, Example, Severity, Whose};

    #[test]
    fn capitals_are_values_where_they_are_known_and_parts_of_names_are_not_touched() {
        let end = |last, port| Endpoint { address: [10, 0, 0, last].into(), port };
        let ends = Endpoints { local: end(1, 80), remote: end(2, 5000) };
        let example =
            Example { socket: None, ends, state: None, lasted: None, note: String::new() };
        let sure = (Severity::Notice, Certainty::Certain);
        let whose = Whose::unknown(Netns(1));
        let finding = Finding {
            examples: vec![example],
            ..Finding::new(Kind::TupleInUse, sure, 1_u64, whose, String::new())
        };
        assert_eq!(
            finding.filled("ss 'sport = :PORT' dst ADDRESS"),
            "ss 'sport = :80' dst 10.0.0.2"
        );
        let same = "IP_BIND_ADDRESS_NO_PORT; ls /proc/PID/fd";
        assert_eq!(finding.filled(same), same);
    }
}
