//! Reads the kernel side's books ([`tcpwatch_common::books`]), lists the sockets that are in them, and sends a program
//! through all sockets, which enters those that are missing.

mod cells;
mod kept;
mod walk;

use std::sync::{Arc, Mutex, Weak};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use tcpwatch_common::books::{MAX_MARKS, MiniMark};

use crate::clock;

pub use cells::{BookCells, CELLS_ROOM, CgroupCells, left_and_entered, sockets};
pub(super) use kept::LISTERS;
pub use kept::{KeptSockets, ListError};
pub(super) use walk::load;
pub use walk::{WalkError, Walker};

/// Room for timewait sockets: as many as the kernel allows in one namespace (`tcp_max_tw_buckets`), in bounds. Each takes 64
/// bytes, whether it is used or not.
pub(super) fn marks_room(most_time_wait: Option<u32>) -> u32 {
    most_time_wait.unwrap_or(MAX_MARKS).clamp(MAX_MARKS, 1 << 21)
}

/// What is in the kernel side's books.
pub struct Books {
    /// The marks of mini-sockets.
    pub marks: Marks,
    /// The way to list full sockets, or why there is none.
    pub kept: Result<KeptSockets, ListError>,
    /// The way to walk through the sockets.
    pub walker: Walker,
}

/// The marks of mini-sockets that are counted.
pub struct Marks {
    /// Of timewait sockets, and of half-open connections.
    maps: [HashMap<MapData, u64, u64>; 2],
    /// Marks of timewait sockets that there is room for.
    pub room: u32,
}

/// What books are made of, as long as the programs have not found their place.
pub(super) struct BookParts {
    pub(super) marks: [HashMap<MapData, u64, u64>; 2],
    pub(super) marks_room: u32,
    pub(super) kept: Result<KeptSockets, ListError>,
}

impl Books {
    pub(super) fn new(parts: BookParts, ebpf: &Arc<Mutex<Ebpf>>) -> Self {
        let BookParts { marks, marks_room, kept } = parts;
        let programs: Weak<_> = Arc::downgrade(ebpf);
        let marks = Marks { maps: marks, room: marks_room };
        Self { marks, kept, walker: Walker::new(programs) }
    }
}

impl Marks {
    /// Takes out the marks of mini-sockets that have been in their state for longer than this, which is longer than
    /// they can be, because their ends were missed. Returns what they were counted as.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn sweep(&mut self, longer_than_ns: u64) -> Result<Vec<MiniMark>, MapError> {
        let now = clock::now().0;
        let mut swept = Vec::new();
        for map in &mut self.maps {
            let mut stale = Vec::new();
            for entry in &*map {
                let (timer, mark) = entry?;
                let mark = MiniMark::from_word(mark);
                if mark.age_ns(now) > longer_than_ns {
                    stale.push((timer, mark));
                }
            }
            // One that has ended meanwhile is gone.
            stale.retain(|(timer, _)| map.remove(timer).is_ok());
            swept.extend(stale.into_iter().map(|(_, mark)| mark));
        }
        Ok(swept)
    }
}
