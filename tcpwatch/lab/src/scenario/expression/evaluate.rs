//! Evaluates an expression for one host, by its sysctls and by the RTO that the run's retransmissions show.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::timing::{
    self, AttemptKind, RtoOptions, Schedule, SynOptions, Sysctls, Window, wheel::TickRate,
};

use super::{Expression, Node, Operator, is_sysctl};

/// Upper bound for a softirq and a system call together when no timer is involved.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The inputs of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationContext<'c> {
    /// The host's sysctls during the run.
    pub sysctls: &'c Sysctls,
    /// The scenario's settings, for sysctls that are not in `sysctls`.
    pub pinned: Option<&'c BTreeMap<String, String>>,
    /// Ticks per second.
    pub rate: TickRate,
    /// The retransmission timeout, if known.
    pub rto: Option<FirstRto>,
}

impl EvaluationContext<'_> {
    /// The value of a sysctl, in its own unit.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<u64> {
        let pinned = || self.pinned?.get(name)?.parse().ok();
        self.sysctls.by_name(name).or_else(pinned)
    }
}

/// The timeout with which a socket begins to retransmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstRto {
    /// Its retransmission timeout at the first transmission.
    pub rto: Duration,
    /// Whether a tail loss probe preceded the first retransmission.
    pub probe: bool,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A type error.
    #[error("`{text}`: {problem}")]
    Kind {
        /// The expression.
        text: String,
        /// What does not fit.
        problem: String,
    },
    /// A sysctl that is neither among those that are read nor set by the scenario.
    #[error("`{0}` is not known here: let the scenario set it for this host")]
    Sysctl(String),
    /// It depends on the RTO, and nothing was retransmitted.
    #[error("nothing was sent again, so the retransmission timeout is not known")]
    NoRto,
}

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Time(Duration),
    Window(Window),
    Schedule(Schedule),
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Time(_) => "a time",
            Self::Window(_) => "a window of time",
            Self::Schedule(_) => "a schedule",
        }
    }
}

impl Expression {
    /// The value as a duration: a bare time is one timer, a schedule is the time until the kernel gives up.
    pub fn window(&self, context: &EvaluationContext<'_>) -> Result<Window, EvaluateError> {
        match self.value(context)? {
            Value::Time(time) => Ok(Window::timer(time, context.rate)),
            Value::Window(window) => Ok(window),
            Value::Schedule(schedule) => Ok(schedule.gives_up),
            number @ Value::Number(_) => Err(self.misfit(&number, "a time")),
        }
    }

    /// The value as a schedule.
    pub fn schedule(&self, context: &EvaluationContext<'_>) -> Result<Schedule, EvaluateError> {
        match self.value(context)? {
            Value::Schedule(schedule) => Ok(schedule),
            other => Err(self.misfit(&other, "a schedule")),
        }
    }

    /// The value as a number.
    pub fn number(&self, context: &EvaluationContext<'_>) -> Result<u64, EvaluateError> {
        match self.value(context)? {
            Value::Number(number) => Ok(number),
            other => Err(self.misfit(&other, "a number")),
        }
    }

    /// The number of successive timers.
    pub fn timers(&self, context: &EvaluationContext<'_>) -> Result<usize, EvaluateError> {
        Ok(match self.value(context)? {
            Value::Schedule(schedule) => schedule.attempts.len() + 1,
            _ => 1,
        })
    }

    fn value(&self, context: &EvaluationContext<'_>) -> Result<Value, EvaluateError> {
        value(&self.root, context).map_err(|error| match error {
            EvaluateError::Kind { problem, .. } => {
                EvaluateError::Kind { text: self.text.clone(), problem }
            }
            other => other,
        })
    }

    fn misfit(&self, found: &Value, wanted: &str) -> EvaluateError {
        let problem = format!("this is {}, {wanted} is needed", found.kind());
        EvaluateError::Kind { text: self.text.clone(), problem }
    }
}

fn kind(problem: impl Into<String>) -> EvaluateError {
    EvaluateError::Kind { text: String::new(), problem: problem.into() }
}

fn value(node: &Node, context: &EvaluationContext<'_>) -> Result<Value, EvaluateError> {
    match node {
        Node::Number(number) => Ok(Value::Number(*number)),
        Node::Time(time) => Ok(Value::Time(*time)),
        Node::Name(name) if is_sysctl(name) => sysctl(name, context),
        Node::Name(name) => named(name, context),
        Node::Call(name, arguments) => {
            let values: Result<Vec<_>, _> =
                arguments.iter().map(|argument| value(argument, context)).collect();
            call(name, values?, context)
        }
        Node::Pair(left, operator, right) => {
            pair(value(left, context)?, *operator, value(right, context)?)
        }
    }
}

/// The unit of a sysctl is part of its name, except for these (`Documentation/networking/ip-sysctl.rst`).
fn sysctl(name: &str, context: &EvaluationContext<'_>) -> Result<Value, EvaluateError> {
    let number = context.sysctl(name).ok_or_else(|| EvaluateError::Sysctl(name.to_owned()))?;
    Ok(match name {
        "tcp_fin_timeout" | "tcp_keepalive_time" | "tcp_keepalive_intvl" => {
            Value::Time(Duration::from_secs(number))
        }
        "tcp_tw_reuse_delay" => Value::Time(Duration::from_millis(number)),
        _ if name.ends_with("_ms") => Value::Time(Duration::from_millis(number)),
        _ if name.ends_with("_us") => Value::Time(Duration::from_micros(number)),
        _ => Value::Number(number),
    })
}

fn named(name: &str, context: &EvaluationContext<'_>) -> Result<Value, EvaluateError> {
    let EvaluationContext { sysctls, rate, rto, .. } = *context;
    let unanswered = |orphan| unacknowledged(context, orphan, None).map(Value::Schedule);
    match name {
        "any" => Ok(Value::Window(Window { promise: Duration::ZERO, latest: Duration::MAX })),
        "at_once" => Ok(Value::Window(Window { promise: Duration::ZERO, latest: AT_ONCE })),
        "rto" => rto.map(|first| Value::Time(first.rto)).ok_or(EvaluateError::NoRto),
        "syn_schedule" => Ok(Value::Schedule(timing::syn(sysctls, SynOptions::default(), rate))),
        "syn_ack_schedule" => Ok(Value::Schedule(timing::syn_ack(sysctls, None, rate))),
        "orphan_schedule" => unanswered(true),
        "retries2_schedule" => unanswered(false),
        _ => Err(kind(format!("`{name}` is not known"))),
    }
}

fn call(
    name: &str,
    arguments: Vec<Value>,
    context: &EvaluationContext<'_>,
) -> Result<Value, EvaluateError> {
    let EvaluationContext { sysctls, rate, .. } = *context;
    if matches!(name, "min" | "max") {
        let least = name == "min";
        let all = arguments.into_iter().map(Ok).reduce(|one, other| extreme(one?, other?, least));
        return all.unwrap_or_else(|| Err(kind(format!("`{name}` of nothing"))));
    }
    let times: Result<Vec<Duration>, _> = arguments.iter().map(|value| time(name, value)).collect();
    Ok(match (name, times?.as_slice()) {
        ("waits", waits @ [_, ..]) => Value::Schedule(Schedule::of_waits(waits, rate)),
        ("timer", [time]) => Value::Window(Window::timer(*time, rate)),
        ("fin_wait_2", [timeout]) => {
            Value::Window(timing::fin_wait_2(*timeout, sysctls.rto_min, rate).total())
        }
        ("user_timeout", [timeout]) => {
            Value::Schedule(unacknowledged(context, false, Some(*timeout))?)
        }
        ("syn_user_timeout", [timeout]) => {
            let options = SynOptions { retries: None, user_timeout: Some(*timeout) };
            Value::Schedule(timing::syn(sysctls, options, rate))
        }
        (_, times) => {
            return Err(kind(format!("`{name}` does not take {} times", times.len())));
        }
    })
}

fn time(function: &str, value: &Value) -> Result<Duration, EvaluateError> {
    match value {
        Value::Time(time) => Ok(*time),
        other => Err(kind(format!("`{function}` takes times, not {}", other.kind()))),
    }
}

/// A tail loss probe is sent after at least the minimal RTO and twice the round trip, but not later than the RTO
/// (`tcp_schedule_loss_probe`, `net/ipv4/tcp_output.c`); the round-trip time is not known here.
fn unacknowledged(
    context: &EvaluationContext<'_>,
    orphan: bool,
    user_timeout: Option<Duration>,
) -> Result<Schedule, EvaluateError> {
    let FirstRto { rto, probe } = context.rto.ok_or(EvaluateError::NoRto)?;
    let options =
        RtoOptions { first_rto: rto, orphan, probe_first: probe.then_some(rto), user_timeout };
    let mut schedule = timing::unacknowledged(context.sysctls, options, context.rate);
    let earlier = rto.saturating_sub(context.sysctls.rto_min);
    if probe {
        for attempt in &mut schedule.attempts {
            attempt.window.promise = attempt.window.promise.saturating_sub(earlier);
            if attempt.kind == AttemptKind::Probe {
                attempt.gap.promise = attempt.gap.promise.saturating_sub(earlier);
            }
        }
        schedule.gives_up.promise = schedule.gives_up.promise.saturating_sub(earlier);
    }
    Ok(schedule)
}

fn extreme(one: Value, other: Value, least: bool) -> Result<Value, EvaluateError> {
    let (one, other) = alike(one, other);
    Ok(match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            Value::Number(if least { a.min(b) } else { a.max(b) })
        }
        (Value::Time(a), Value::Time(b)) => Value::Time(if least { a.min(b) } else { a.max(b) }),
        (Value::Window(a), Value::Window(b)) => Value::Window(Window {
            promise: if least { a.promise.min(b.promise) } else { a.promise.max(b.promise) },
            latest: if least { a.latest.min(b.latest) } else { a.latest.max(b.latest) },
        }),
        (one, other) => {
            return Err(kind(format!("{} and {} cannot be compared", one.kind(), other.kind())));
        }
    })
}

/// Converts for an operation with a window: a time becomes an exact window, a schedule its end.
fn alike(one: Value, other: Value) -> (Value, Value) {
    let widen = |value| match value {
        Value::Time(time) => Value::Window(Window { promise: time, latest: time }),
        Value::Schedule(schedule) => Value::Window(schedule.gives_up),
        other => other,
    };
    match (&one, &other) {
        (Value::Window(_) | Value::Schedule(_), _) | (_, Value::Window(_) | Value::Schedule(_)) => {
            (widen(one), widen(other))
        }
        _ => (one, other),
    }
}

fn pair(left: Value, operator: Operator, right: Value) -> Result<Value, EvaluateError> {
    use Operator::{Add, Divide, Multiply, Subtract};
    let (left, right) = alike(left, right);
    let kinds = (left.kind(), right.kind());
    let times = |time: Duration, number: u64| {
        u32::try_from(number).ok().and_then(|number| time.checked_mul(number)).map(Value::Time)
    };
    let result = match (left, operator, right) {
        (Value::Number(a), Add, Value::Number(b)) => a.checked_add(b).map(Value::Number),
        (Value::Number(a), Subtract, Value::Number(b)) => a.checked_sub(b).map(Value::Number),
        (Value::Number(a), Multiply, Value::Number(b)) => a.checked_mul(b).map(Value::Number),
        (Value::Number(a), Divide, Value::Number(b)) => a.checked_div(b).map(Value::Number),
        (Value::Time(a), Add, Value::Time(b)) => a.checked_add(b).map(Value::Time),
        (Value::Time(a), Subtract, Value::Time(b)) => a.checked_sub(b).map(Value::Time),
        (Value::Time(a), Multiply, Value::Number(b))
        | (Value::Number(b), Multiply, Value::Time(a)) => times(a, b),
        (Value::Time(a), Divide, Value::Number(b)) => {
            u32::try_from(b).ok().and_then(|b| a.checked_div(b)).map(Value::Time)
        }
        (Value::Window(a), Add, Value::Window(b)) => Some(Value::Window(a.then(b))),
        _ => {
            let (left, right) = kinds;
            return Err(kind(format!("{left} and {right} cannot be combined like this")));
        }
    };
    result.ok_or_else(|| kind("the result is below zero, too large, or divided by zero"))
}
