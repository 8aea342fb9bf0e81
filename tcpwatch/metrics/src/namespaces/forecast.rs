//! When the local ports to a destination run out.

use std::time::Duration;

use super::destinations::{STEP, STEPS};

/// No forecast is made for later than this.
const HORIZON: f64 = 86_400.0;

/// What takes ports, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PortDemand {
    /// Ports that `connect()` may choose.
    pub(super) limit: u32,
    /// Connections that are not in TIME_WAIT,
    pub(super) open: u32,
    /// and how many more there are each second.
    pub(super) growth: f64,
    /// Ports in TIME_WAIT by the time left, in steps of [`STEP`] seconds.
    pub(super) waiting: [u16; STEPS],
    /// Whether such a port can be taken again after one second.
    pub(super) reusable: bool,
}

impl PortDemand {
    /// How long the ports last if connections come and go as they do now; `None` if they are never used up within a day.
    ///
    /// What is in TIME_WAIT leaves after a minute: a rate that fills less than the ports within that time uses them up
    /// only if the number of open connections grows. The rate at which connections enter TIME_WAIT is that of the last
    /// 10 s.
    pub(super) fn lasts(&self) -> Option<Duration> {
        let limit = f64::from(self.limit);
        let minute = u16::try_from(STEPS).map_or(0, |steps| steps * STEP);
        let soon = (0..=minute).map(f64::from).find(|second| self.taken(*second) >= limit);
        let later = || {
            let left = limit - self.taken(minute.into());
            (self.growth > 0.0).then(|| f64::from(minute) + left / self.growth)
        };
        let seconds = soon.or_else(later).filter(|seconds| *seconds <= HORIZON)?;
        Some(Duration::from_secs_f64(seconds))
    }

    /// Ports that cannot be taken so many seconds from now, up to a minute.
    fn taken(&self, second: f64) -> f64 {
        let step = f64::from(STEP);
        let rate = self.waiting.last().copied().map_or(0.0, f64::from) / step;
        let open = f64::from(self.open) + self.growth * second;
        if self.reusable {
            return open + rate;
        }
        let mut begin = 0.0;
        let mut waiting = rate * second;
        for count in self.waiting {
            let stays = ((begin + step - second) / step).clamp(0.0, 1.0);
            waiting += f64::from(count) * stays;
            begin += step;
        }
        open + waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(open: u32, growth: f64, waiting: [u16; STEPS]) -> PortDemand {
        PortDemand { limit: 1000, open, growth, waiting, reusable: false }
    }

    fn lasts(demand: PortDemand) -> Option<u64> {
        demand.lasts().map(|lasts| lasts.as_secs())
    }

    #[test]
    fn a_growing_number_of_connections_uses_up_what_is_left() {
        assert_eq!(lasts(demand(400, 10.0, [0; STEPS])), Some(60));
        assert_eq!(lasts(demand(400, 1.0, [0; STEPS])), Some(600));
        assert_eq!(lasts(demand(400, 0.001, [0; STEPS])), None, "later than tomorrow");
        assert_eq!(lasts(demand(400, 0.0, [0; STEPS])), None);
        assert_eq!(lasts(demand(1000, 0.0, [0; STEPS])), Some(0));
    }

    #[test]
    fn a_rate_that_time_wait_has_room_for_never_uses_them_up() {
        // 16 connections a second, for 10 s until now: 960 ports after a minute.
        assert_eq!(lasts(demand(0, 0.0, [0, 0, 0, 0, 0, 160])), None);
        assert_eq!(lasts(demand(0, 0.0, [160; STEPS])), None);
        // 20 a second: full after 50 s, of which 10 have passed.
        assert_eq!(lasts(demand(0, 0.0, [0, 0, 0, 0, 0, 200])), Some(40));
        assert_eq!(lasts(demand(0, 0.0, [200; STEPS])), Some(0), "1200 are more than there are");
        // Half a minute ago there was a burst; nothing follows.
        assert_eq!(lasts(demand(100, 0.0, [0, 0, 800, 0, 0, 0])), None);
    }

    #[test]
    fn a_port_in_time_wait_that_can_be_taken_again_takes_none() {
        let all = demand(0, 0.0, [500; STEPS]);
        assert_eq!(lasts(all), Some(0));
        assert_eq!(lasts(PortDemand { reusable: true, ..all }), None);
        assert_eq!(lasts(PortDemand { reusable: true, open: 950, ..all }), Some(0), "for a second");
    }
}
