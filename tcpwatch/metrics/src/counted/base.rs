//! How many sockets there were in a state when counting began: bounds that every list of sockets narrows.
//!
//! A list is made while sockets come and go. One that is in the state during the whole list is in it once; one that
//! enters or leaves meanwhile may be in it or not. So the list has at least those that stay, which is the number before
//! without those that leave, and at most these and those that enter.

use super::flows::Flow;

/// Stands for "not known", and can be added to without overflow.
const FAR: i64 = i64::MAX / 4;

/// The smallest and the largest possible number of sockets at the moment of attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    least: i64,
    most: i64,
}

impl Base {
    /// Before the first list.
    pub(super) const UNKNOWN: Self = Self { least: -FAR, most: FAR };

    /// Takes in a list with `listed` sockets, made between two readings of the counts. A list that `is_partial` lacks
    /// namespaces, and says nothing of how many there are at most. Returns how far the list is from what was believed;
    /// if it is, the list is believed.
    pub(super) fn narrow(
        &mut self,
        listed: i64,
        (before, after): (Flow, Flow),
        is_partial: bool,
    ) -> u64 {
        let least = listed - (after.entered - before.entered) - before.net();
        let most = listed + (after.left - before.left) - before.net();
        let seen = Self { least, most: if is_partial { FAR } else { most } };
        let apart = (seen.least - self.most).max(self.least - seen.most).max(0);
        *self = if apart > 0 {
            seen
        } else {
            Self { least: self.least.max(seen.least), most: self.most.min(seen.most) }
        };
        apart.unsigned_abs()
    }

    /// The present number of sockets, after these changes; the middle where it is not known exactly.
    pub(super) fn sockets(self, flow: Flow) -> u64 {
        let start = if self.most == FAR { self.least } else { self.least.midpoint(self.most) };
        (start + flow.net()).max(0).unsigned_abs()
    }

    /// The width of the bounds, 0 if the number is exact; `None` if there is no upper one.
    pub(super) fn doubt(self) -> Option<u64> {
        (self.most != FAR).then(|| (self.most - self.least).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Flow = Flow { entered: 0, left: 0 };

    const fn flow(entered: i64, left: i64) -> Flow {
        Flow { entered, left }
    }

    #[test]
    fn a_list_while_nothing_changes_is_exact() {
        let mut base = Base::UNKNOWN;
        assert_eq!(base.narrow(30, (flow(5, 2), flow(5, 2)), false), 0);
        assert_eq!((base.sockets(flow(5, 2)), base.doubt()), (30, Some(0)));
        assert_eq!(base.sockets(flow(9, 3)), 33);
    }

    #[test]
    fn a_socket_that_comes_or_goes_during_the_list_is_counted_once() {
        // 10 before; one leaves and two enter: any list from 9 to 12 is possible, and the truth is 11.
        for listed in 9..=12 {
            let mut base = Base::UNKNOWN;
            base.narrow(listed, (NONE, flow(2, 1)), false);
            assert!(base.least <= 10 && 10 <= base.most, "{listed}: {base:?}");
            assert_eq!(base.narrow(11, (flow(2, 1), flow(2, 1)), false), 0, "{listed}");
            assert_eq!((base.sockets(flow(2, 1)), base.doubt()), (11, Some(0)), "{listed}");
        }
    }

    #[test]
    fn a_missed_change_is_found_corrected_and_counted() {
        let mut base = Base::UNKNOWN;
        base.narrow(10, (NONE, NONE), false);
        assert_eq!(base.narrow(7, (NONE, NONE), false), 3, "three ends were missed");
        assert_eq!(base.sockets(NONE), 7);
        assert_eq!(base.narrow(9, (flow(2, 0), flow(2, 0)), false), 0, "and once only");
    }

    #[test]
    fn a_list_without_some_namespaces_takes_nothing_away() {
        let mut base = Base::UNKNOWN;
        base.narrow(10, (NONE, NONE), true);
        assert_eq!((base.sockets(NONE), base.doubt()), (10, None));
        assert_eq!(base.narrow(4, (NONE, NONE), true), 0);
        assert_eq!(base.sockets(NONE), 10);
        assert_eq!(base.narrow(12, (NONE, NONE), true), 0);
        assert_eq!(base.sockets(NONE), 12);
    }
}
