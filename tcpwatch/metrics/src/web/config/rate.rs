//! A limit on requests: a bucket with `burst` tokens that gets a new one every `interval`.

use std::time::{Duration, Instant};

/// How many requests are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// Tokens of all clients together.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Full.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), at: now }
    }

    /// The limit it was made for.
    pub(crate) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        let grown = self.tokens + passed / self.rate.interval.as_secs_f64();
        self.tokens = grown.min(f64::from(self.rate.burst));
        let is_allowed = self.tokens >= 1.0;
        if is_allowed {
            self.tokens -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_request_per_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { interval: Duration::from_secs(2), burst: 3 }, start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(
            [0, 0, 0, 0, 1].map(|now| bucket.take(at(now))),
            [true, true, true, false, false]
        );
        assert_eq!([2, 2, 4, 5].map(|now| bucket.take(at(now))), [true, false, true, false]);
        assert_eq!(
            [60; 4].map(|now| bucket.take(at(now))),
            [true, true, true, false],
            "never more"
        );
    }

    #[test]
    fn no_burst_allows_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { interval: Duration::from_secs(1), burst: 0 }, start);
        assert!(!bucket.take(start + Duration::from_mins(1)));
    }
}
