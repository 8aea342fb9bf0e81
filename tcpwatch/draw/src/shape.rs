//! Where things are in a sequence diagram, in user units of SVG; a letter is 7.2 wide and 12 high.

use tcpwatch_lab::host::Host;

/// The width of the picture.
pub(crate) const WIDTH: u32 = 1180;
/// The distance of two rows.
pub(crate) const ROW: u32 = 28;
/// The distance of two lines of remarks.
pub(crate) const LINE: u32 = 15;
/// The y of the first row.
pub(crate) const TOP: u32 = 84;
/// The width of a band of state.
pub(crate) const BAND: u32 = 16;

/// The columns of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostColumns {
    /// The left edge of the band.
    pub(crate) band: u32,
    /// Where arrows begin and end.
    pub(crate) arrows: u32,
    /// The edge of states that is at the band.
    pub(crate) states: u32,
    /// The edge of remarks that is at the states.
    pub(crate) notes: u32,
    /// The width of remarks, in letters.
    pub(crate) room: usize,
    /// The outer edge of the band, where timers are drawn.
    pub(crate) timers: u32,
    /// How texts are aligned at their edges: `end` or `start`.
    pub(crate) anchor: &'static str,
}

/// The columns of a host: the client's are on the left.
pub(crate) const fn columns(host: Host) -> HostColumns {
    match host {
        Host::Client => HostColumns {
            band: 444,
            arrows: 463,
            states: 428,
            notes: 318,
            room: 33,
            timers: 438,
            anchor: "end",
        },
        Host::Server => HostColumns {
            band: 744,
            arrows: 741,
            states: 776,
            notes: 888,
            room: 40,
            timers: 766,
            anchor: "start",
        },
    }
}
