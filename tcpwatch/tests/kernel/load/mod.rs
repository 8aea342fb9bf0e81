//! As much as the machine can do, for as long as it takes: a tier of its own, because it takes minutes.
