//! Where the books disagree with the full sockets that are there.

use tcpwatch_kernel::probe::books::{CgroupCells, left_and_entered};

use super::{
    rows::{self, PlaceRows},
    states::is_mini,
};

/// Sockets that are in the books and not there, by cgroup and place; less than none are there and not in the books. The
/// cells are those from before and after the list was made, `corrections` what was added to them already. Sockets that
/// come and go meanwhile are no drift.
pub(super) fn surplus(
    (before, after): (&CgroupCells, &CgroupCells),
    listed: &PlaceRows,
    corrections: &PlaceRows,
) -> PlaceRows {
    let of = |rows: &PlaceRows, cgroup: u32, place: usize| {
        rows.get(&cgroup).and_then(|row| row.get(place)).copied().unwrap_or_default()
    };
    let (now, passed) = (rows::of(after), |cgroup: &u32, place| {
        let at = |cells: &CgroupCells| cells.get(cgroup).map(|cell| left_and_entered(cell, place));
        let (first, last) = (at(before).unwrap_or_default(), at(after).unwrap_or_default());
        let number = |last: u64, first: u64| i64::try_from(last.saturating_sub(first)).unwrap_or(0);
        (number(last.0, first.0), number(last.1, first.1))
    });
    let mut surplus = PlaceRows::new();
    for (cgroup, row) in &now {
        for (place, count) in row.iter().enumerate().skip(1).filter(|(place, _)| !is_mini(*place)) {
            let (left, entered) = passed(cgroup, place);
            let counted = count + of(corrections, *cgroup, place);
            // Before: less what has entered since, and more what has left.
            let (least, most) = (counted - entered, counted + left);
            let there = of(listed, *cgroup, place);
            let apart = (least - there).max(0) + (most - there).min(0);
            if apart != 0 {
                rows::add(&mut surplus, *cgroup, place, apart);
            }
        }
    }
    surplus
}

/// What two lists agree on.
pub(super) fn agreed(first: &PlaceRows, second: &PlaceRows) -> PlaceRows {
    let mut both = PlaceRows::new();
    for (cgroup, row) in first {
        let again = second.get(cgroup).copied().unwrap_or_default();
        for (place, (one, other)) in row.iter().zip(again).enumerate() {
            let number = if (*one > 0) == (other > 0) { one.abs().min(other.abs()) } else { 0 };
            if number != 0 {
                rows::add(&mut both, *cgroup, place, number * one.signum());
            }
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use tcpwatch_common::books::{CELL_WORDS, ENTERED, LEFT};

    use super::*;

    fn cells(entered: u64, left: u64) -> CgroupCells {
        let mut cell = Box::new([0; CELL_WORDS]);
        cell[ENTERED + 1] = entered;
        cell[LEFT + 1] = left;
        CgroupCells::from([(7, cell)])
    }

    fn rows_of(number: i64) -> PlaceRows {
        let mut rows = PlaceRows::new();
        rows::add(&mut rows, 7, 1, number);
        rows
    }

    fn apart(before: &CgroupCells, after: &CgroupCells, listed: i64, corrected: i64) -> i64 {
        let rows = surplus((before, after), &rows_of(listed), &rows_of(corrected));
        rows.get(&7).map_or(0, |row| row[1])
    }

    #[test]
    fn sockets_that_come_and_go_while_a_list_is_made_are_no_drift() {
        // 10 before; two leave and three enter: from 8 to 13 may be listed.
        let (before, after) = (cells(10, 0), cells(13, 2));
        for listed in 8..=13 {
            assert_eq!(apart(&before, &after, listed, 0), 0, "{listed}");
        }
        assert_eq!(apart(&before, &after, 7, 0), 1);
        assert_eq!(apart(&before, &after, 14, 0), -1);
    }

    #[test]
    fn what_was_corrected_is_no_drift_again() {
        let quiet = cells(10, 0);
        assert_eq!(apart(&quiet, &quiet, 7, 0), 3);
        assert_eq!(apart(&quiet, &quiet, 7, -3), 0, "it was taken away");
        assert_eq!(apart(&quiet, &quiet, 9, -3), -2, "two are back");
    }

    #[test]
    fn only_what_two_lists_agree_on_is_drift() {
        let of = |first, second| {
            agreed(&rows_of(first), &rows_of(second)).get(&7).map_or(0, |row| row[1])
        };
        assert_eq!([of(3, 5), of(5, 3), of(-2, -1), of(2, -2), of(0, 4)], [3, 3, -1, 0, 0]);
    }
}
