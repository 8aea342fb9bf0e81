//! A measured time in the window that the kernel's rules allow, as a small picture.

use tcpwatch_lab::{show::difference, verdict::Times};

/// Where the window begins and how wide it is, of 200.
pub(crate) const WINDOW: (u32, u32) = (40, 120);

/// The places on a line from 0 to 200, and the same in words.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) at: u32,
    pub(crate) text: String,
}

impl Bar {
    /// What is far outside of the window stands at the border.
    pub(crate) fn of(times: &Times) -> Self {
        let Times { allowed, measured } = times;
        let (start, width) = WINDOW;
        let span = allowed.latest.saturating_sub(allowed.promise).as_nanos().max(1);
        let part = |nanoseconds: u128| {
            u32::try_from(nanoseconds * u128::from(width) / span).unwrap_or(u32::MAX)
        };
        let late = part(measured.saturating_sub(allowed.promise).as_nanos());
        let early = part(allowed.promise.saturating_sub(*measured).as_nanos());
        let at = start.saturating_add(late).saturating_sub(early).clamp(5, 195);
        Self { at, text: difference(times) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tcpwatch_core::timing::Window;

    use super::*;

    fn at(measured: u64) -> u32 {
        let ms = Duration::from_millis;
        let allowed = Window { promise: ms(1000), latest: ms(2000) };
        Bar::of(&Times { allowed, measured: ms(measured) }).at
    }

    #[test]
    fn a_time_stands_within_its_window_as_far_as_it_lies_in_it_and_beside_it_if_it_does_not() {
        assert_eq!((at(1000), at(1500), at(2000)), (40, 100, 160));
        assert_eq!((at(900), at(2100)), (28, 172));
        assert_eq!((at(0), at(1_000_000)), (5, 195));
    }
}
