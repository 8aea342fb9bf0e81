//! The report: a column of features, a column of answers.

use std::{collections::HashSet, fmt::Write as _, io};

use tcpwatch_common::config::FIRST_PID_NAMESPACE;
use tcpwatch_kernel::{pid_namespace, source::snapshot::owners, trial::NoGround};

use super::{Actor, TrialResult, features};

const METRICS: &str = "metrics, counted in the kernel";
const LABORATORY: &str = "laboratory: namespaces, veth, tc";

/// What is said of a feature.
pub(super) enum FeatureAnswer {
    /// A precondition is met.
    Ok,
    /// It was made to happen, and was seen.
    Works,
    /// Everything is there, but it was not made to happen.
    NotTried(String),
    /// It cannot be had, and what can be done about it.
    Off(String),
    /// It was made to happen, and did not show.
    Fails(String),
}

#[derive(Default)]
pub(super) struct CheckReport {
    pub(super) text: String,
    /// Reasons that were given, which are not repeated.
    given: HashSet<String>,
}

impl CheckReport {
    pub(super) fn line(&mut self, what: &str, answer: FeatureAnswer) {
        let answer = match answer {
            FeatureAnswer::Ok => "ok".to_owned(),
            FeatureAnswer::Works => "works (tried)".to_owned(),
            FeatureAnswer::NotTried(why) => format!("attached, not tried: {}", self.once(why)),
            FeatureAnswer::Off(why) => format!("off: {}", self.once(why)),
            FeatureAnswer::Fails(missing) => {
                format!("FAILS: attached, but did not show: {missing}")
            }
        };
        // What the verifier says has several lines.
        let answer = answer.replace('\n', "; ");
        let _written = writeln!(self.text, "{what:<48}  {answer}").is_ok();
    }

    fn once(&mut self, why: String) -> String {
        if self.given.contains(&why) {
            return "for the same reason".to_owned();
        }
        self.given.insert(why.clone());
        why
    }

    /// Where the rest is tried.
    pub(super) fn place(&mut self, actor: &Result<Actor, NoGround>) {
        let place = match actor {
            Err(_) => return,
            Ok(actor) => match &actor.place.shared {
                None => "in a network namespace of its own".to_owned(),
                Some(why) => format!(
                    "on loopback: {why}; one of its own takes CAP_SYS_ADMIN and CAP_NET_ADMIN (sudo \
                     has them)"
                ),
            },
        };
        let _written = writeln!(self.text, "{:<48}  {place}", "where it is tried").is_ok();
    }

    /// The pid namespace by whose numbers processes are shown.
    pub(super) fn pid_namespace(&mut self) {
        let which = match pid_namespace::own() {
            Some(FIRST_PID_NAMESPACE) => "the initial one".to_owned(),
            Some(inode) => inode.to_string(),
            None => "not known, the initial one is taken".to_owned(),
        };
        let answer = if pid_namespace::has_own_proc() {
            FeatureAnswer::Ok
        } else {
            let why = "/proc shows another pid namespace: processes that held sockets before have \
                       names only; mount a proc file system of this one";
            FeatureAnswer::Off(why.to_owned())
        };
        self.line(&format!("process ids of pid namespace {which}"), answer);
    }

    /// Whether all processes let this one see which sockets they hold: how owners are known `via` `fd`.
    pub(super) fn file_tables(&mut self) {
        let answer = match owners::refusing() {
            Ok(0) => FeatureAnswer::Ok,
            Ok(refusing) => FeatureAnswer::Off(format!(
                "{refusing} processes, or more, may not be looked into; owners of their sockets show when they connect, \
                 send, receive or close; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH are missing (sudo has them)"
            )),
            Err(error) => FeatureAnswer::Off(format!("cannot list /proc: {error}")),
        };
        self.line("sockets that other processes hold", answer);
    }

    /// Nothing is attached.
    pub(super) fn nothing(&mut self, why: &str) {
        let features = features().map(|feature| feature.name);
        for name in features.chain([METRICS, LABORATORY]) {
            self.line(name, FeatureAnswer::Off(why.to_owned()));
        }
    }

    /// What a process that listens has after it has given up the rest.
    pub(super) fn sandbox(&mut self, tried: io::Result<String>) {
        let answer = tried.unwrap_or_else(|error| format!("not tried: {error}"));
        let _written =
            writeln!(self.text, "{:<48}  {answer}", "privileges of a process that listens").is_ok();
    }

    /// What the trial found. Does the main job work?
    pub(super) fn trial(&mut self, trial: TrialResult) -> bool {
        let works = matches!(trial.answers.first(), Some((_, FeatureAnswer::Works)));
        for (name, answer) in trial.answers {
            self.line(name, answer);
        }
        let refused = if trial.dialect.retransmit_has_error {
            FeatureAnswer::NotTried("it takes a network that refuses".to_owned())
        } else {
            FeatureAnswer::Off("kernels tell this since 6.17".to_owned())
        };
        self.line("retries that the network below refuses", refused);
        self.line(METRICS, trial.metrics);
        self.line(LABORATORY, trial.laboratory);
        for (what, why) in trial.blind_spots {
            self.line(what, FeatureAnswer::Off(why.to_owned()));
        }
        works
    }
}
