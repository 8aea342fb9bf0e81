//! The number of events that a tool itself reports as lost, from its output.

use serde_json::Value;

use super::tool::ToolOutput;

/// Where a tool reports its losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossReport {
    /// tcpwatch's totals in text, on stderr.
    TextSummary,
    /// tcpwatch's totals in JSON, the last line on stdout.
    JsonSummary,
    /// `lost 3 events on CPU #0!` on stderr.
    OnStderr,
    /// `Lost 3 events` on stdout.
    OnStdout,
    /// `3 packets dropped by kernel` on stderr.
    Dropped,
    /// It prints nothing that could be lost.
    Nothing,
}

impl LossReport {
    /// Whether its stdout has to be read for that.
    pub(crate) fn on_stdout(self) -> bool {
        matches!(self, Self::JsonSummary | Self::OnStdout)
    }

    /// Events that did not reach the tool's output although its program ran; `None` if the tool did not report it.
    pub(crate) fn lost(self, stderr: &ToolOutput, stdout: &ToolOutput) -> Option<u64> {
        match self {
            Self::TextSummary => stderr.about_losses.iter().find_map(|line| in_text(line)),
            Self::JsonSummary => in_json(&stdout.last),
            Self::OnStderr => {
                Some(stderr.about_losses.iter().filter_map(|line| of_peer(line)).sum())
            }
            Self::OnStdout => {
                Some(stdout.about_losses.iter().filter_map(|line| of_peer(line)).sum())
            }
            Self::Dropped => stderr.about_losses.iter().find_map(|line| dropped(line)),
            Self::Nothing => None,
        }
    }
}

/// `... in 969 ms · 0 lost, 0 missed · ...`
fn in_text(line: &str) -> Option<u64> {
    let part = line.split('\u{b7}').find_map(|part| part.trim().split_once(" lost, "));
    part?.0.parse().ok()
}

/// Every cause but `recursion`: the kernel counts those for all tools alike.
fn in_json(line: &str) -> Option<u64> {
    let summary: Value = serde_json::from_str(line).ok()?;
    let causes = summary.get("lost")?.as_object()?;
    let others = causes.iter().filter(|(cause, _)| *cause != "recursion");
    Some(others.filter_map(|(_, count)| count.as_u64()).sum())
}

fn dropped(line: &str) -> Option<u64> {
    line.split_whitespace().next()?.parse().ok()
}

fn of_peer(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(line: &str) -> ToolOutput {
        ToolOutput { about_losses: vec![line.to_owned()], last: line.to_owned(), lines: 1 }
    }

    #[test]
    fn each_tools_words_are_understood() {
        let text = "9 changes in 1 s \u{b7} 12 lost, 3 missed \u{b7} 0 connections seen, 0 open";
        let json = r#"{"event":"summary","lost":{"recursion":3,"ring_full":12}}"#;
        for (loss_report, line) in [
            (LossReport::TextSummary, text),
            (LossReport::JsonSummary, json),
            (LossReport::OnStderr, "lost 12 events on CPU #0!"),
            (LossReport::OnStdout, "Lost 12 events"),
            (LossReport::Dropped, "12 packets dropped by kernel"),
        ] {
            assert_eq!(
                loss_report.lost(&output(line), &output(line)),
                Some(12),
                "{loss_report:?}: {line}"
            );
        }
    }

    #[test]
    fn silence_of_a_peer_is_no_loss_and_silence_of_tcpwatch_is_unknown() {
        let nothing = ToolOutput::default();
        assert_eq!(
            LossReport::OnStderr.lost(&nothing, &nothing),
            Some(0),
            "it only speaks of losses"
        );
        assert_eq!(LossReport::TextSummary.lost(&nothing, &nothing), None, "no totals");
        assert_eq!(LossReport::JsonSummary.lost(&nothing, &output("{}")), None, "no totals");
    }
}
