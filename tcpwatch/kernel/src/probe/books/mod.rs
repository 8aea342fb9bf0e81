//! Reads the kernel side's books about sockets ([`tcpwatch_common::books`]), and sends a program through all sockets,
//! which enters those that are missing.

mod walk;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, Weak},
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError, PerCpuHashMap},
};
use tcpwatch_common::books::{
    CELL_WORDS, Cell, ENTERED, LEFT, MAX_CELLS, MAX_MARKS, Mark, PLACES, WALKED, WALKER, WRITERS,
    place, word,
};

use crate::clock;

pub(super) use walk::load;
pub use walk::{WalkError, Walker};

/// Room for mini-sockets: four times what the kernel allows in one namespace (`tcp_max_tw_buckets`), in bounds.
pub(super) fn marks_room() -> u32 {
    let allowed = fs::read_to_string(MAX_TIME_WAIT).ok().and_then(|text| text.trim().parse().ok());
    allowed.unwrap_or(MAX_MARKS).saturating_mul(4).clamp(MAX_MARKS, 1 << 21)
}

const MAX_TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

/// What has become of the sockets of one cgroup, in each place of [`tcpwatch_common::books`]. Numbers overflow: only
/// differences mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Sockets that have entered a state.
    pub entered: [u32; PLACES],
    /// Sockets that have left it.
    pub left: [u32; PLACES],
    /// Those of the former that a walk has found.
    pub found: [u32; PLACES],
    /// Sockets in it that walks have come to.
    pub walked: [u32; PLACES],
}

impl Balance {
    fn add(&mut self, cell: &Cell) {
        for state in 0..16 {
            let place = place(state);
            let of = |word: usize| cell.get(word).copied().unwrap_or_default();
            let sum = |numbers: &mut [u32; PLACES], more: u32| {
                if let Some(number) = numbers.get_mut(place) {
                    *number = number.wrapping_add(more);
                }
            };
            for writer in (0_u32..).take(WRITERS) {
                sum(&mut self.entered, of(word(writer, ENTERED, state)));
                sum(&mut self.left, of(word(writer, LEFT, state)));
            }
            sum(&mut self.found, of(word(WALKER, ENTERED, state)));
            sum(&mut self.walked, of(WALKED + place));
        }
    }

    /// Sockets that are in this place now.
    #[must_use]
    pub fn sockets(&self, place: usize) -> i64 {
        let of = |numbers: &[u32; PLACES]| numbers.get(place).copied().unwrap_or_default();
        of(&self.entered).wrapping_sub(of(&self.left)).cast_signed().into()
    }
}

/// The maps that they are in.
pub(super) type BookMaps = (PerCpuHashMap<MapData, u32, Cell>, HashMap<MapData, u64, u64>);

/// Balances by the number of the cgroup, 0 for those without a known one.
pub type Balances = BTreeMap<u32, Balance>;

/// The kernel side's books about sockets.
pub struct Books {
    /// What is counted of each cgroup.
    pub cells: BookCells,
    /// The marks of mini-sockets.
    pub marks: Marks,
    /// The way to walk through the sockets.
    pub walker: Walker,
}

/// The marks of mini-sockets that are counted.
pub struct Marks {
    map: HashMap<MapData, u64, u64>,
    /// Marks that there is room for.
    pub room: u32,
}

/// What is counted of each cgroup.
pub struct BookCells(PerCpuHashMap<MapData, u32, Cell>);

/// Cgroups that there is room for.
pub const CELLS_ROOM: u32 = MAX_CELLS;

impl Books {
    pub(super) fn new((cells, marks): BookMaps, marks_room: u32, ebpf: Weak<Mutex<Ebpf>>) -> Self {
        let marks = Marks { map: marks, room: marks_room };
        Self { cells: BookCells(cells), marks, walker: Walker::new(ebpf) }
    }
}

impl BookCells {
    /// The balances of all cgroups: two system calls for each, whatever the number of sockets.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn read(&self) -> Result<Balances, MapError> {
        let mut balances = Balances::new();
        for cell in &self.0 {
            let (cgroup, cells) = cell?;
            let balance = balances.entry(cgroup).or_default();
            cells.iter().for_each(|cell| balance.add(cell));
        }
        Ok(balances)
    }
}

impl Marks {
    /// Takes out the marks of mini-sockets that have been in their state for longer than this, which is longer than
    /// they can be, because their ends were missed. Returns what they were counted as.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn sweep(&mut self, longer_than_ns: u64) -> Result<Vec<Mark>, MapError> {
        let now = clock::now().0;
        let mut stale = Vec::new();
        for entry in &self.map {
            let (timer, mark) = entry?;
            let mark = Mark::from_word(mark);
            if mark.age_ns(now) > longer_than_ns {
                stale.push((timer, mark));
            }
        }
        // One that has ended meanwhile is gone.
        stale.retain(|(timer, _)| self.map.remove(timer).is_ok());
        Ok(stale.into_iter().map(|(_, mark)| mark).collect())
    }
}

const _: () = assert!(CELL_WORDS.is_multiple_of(2), "values of maps are multiples of eight bytes");
