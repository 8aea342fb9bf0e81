//! The cells of cgroups: sums over all CPUs.

use std::{collections::BTreeMap, io::ErrorKind};

use aya::maps::{MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use tcpwatch_common::books::{
    CELL_WORDS, CgroupCell, ENTERED, FOUND, LEFT, MAX_CELLS, cell_keys, cgroup_of,
};

/// Cells by the number of the cgroup; 0 is that of sockets without a known one.
pub type CgroupCells = BTreeMap<u32, Box<CgroupCell>>;

/// Cells that there is room for: two to four for each cgroup.
pub const CELLS_ROOM: u32 = MAX_CELLS;

/// The cells.
pub struct BookCells(PerCpuHashMap<MapData, u64, CgroupCell>);

impl BookCells {
    /// Makes the cells that always exist.
    pub(in crate::probe) fn new(
        mut map: PerCpuHashMap<MapData, u64, CgroupCell>,
    ) -> Result<Self, MapError> {
        let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
        for key in cell_keys(0) {
            map.insert(key, PerCpuValues::try_from(vec![[0; CELL_WORDS]; cpus])?, 0)?;
        }
        Ok(Self(map))
    }

    /// The sums of all cells: two system calls for each, whatever the number of sockets.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub(in crate::probe) fn read(&self) -> Result<CgroupCells, MapError> {
        let mut cells = CgroupCells::new();
        for cell in &self.0 {
            let (key, of_cpus) = cell?;
            let sums = cells.entry(cgroup_of(key)).or_insert_with(|| Box::new([0; CELL_WORDS]));
            for words in of_cpus.iter() {
                sums.iter_mut().zip(words).for_each(|(sum, word)| *sum += word);
            }
        }
        Ok(cells)
    }

    /// Makes room for another cgroup.
    pub(in crate::probe) fn remove(&mut self, cgroup: u32) -> Result<(), MapError> {
        for key in cell_keys(cgroup) {
            match self.0.remove(&key) {
                // Programs of this kind have counted nothing.
                Err(MapError::SyscallError(why)) if why.io_error.kind() == ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }
}

/// Sockets that are in a place now; less than none for a moment, while the cells of several CPUs are read one after the
/// other.
#[must_use]
pub fn sockets(cell: &CgroupCell, place: usize) -> i64 {
    let (left, entered) = left_and_entered(cell, place);
    entered.wrapping_sub(left).cast_signed()
}

/// Sockets that have left a place, and those that have entered it or were found in it.
#[must_use]
pub fn left_and_entered(cell: &CgroupCell, place: usize) -> (u64, u64) {
    let of = |first: usize| cell.get(first + place).copied().unwrap_or_default();
    (of(LEFT), of(ENTERED) + of(FOUND))
}
