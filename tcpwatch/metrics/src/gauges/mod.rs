//! Series that are bounded in number: slots for label values, and how many values got none.

pub(crate) mod overflows;
pub(crate) mod slots;
