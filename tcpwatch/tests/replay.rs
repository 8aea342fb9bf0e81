//! Recorded records in, exact lines out, by the real binary.
//!
//! `data/NAME.jsonl` is a recording of one claim (`data/record.py` says how each was made);
//! `NAME.text` and `NAME.json` are what it must be shown as. After an intended change of the
//! output, make them anew with `UPDATE_GOLDEN=1 cargo test -p tcpwatch --test replay` and read the
//! difference.

#[cfg(test)]
mod replay {
    mod edited;
    mod filters;
    mod golden;
    mod lives;
    mod marks;
    mod places;
    mod recording;
    mod schema;
    mod summary;
}
