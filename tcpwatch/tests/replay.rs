//! Replays recordings with the real binary and compares the lines exactly.
//!
//! `data/NAME.jsonl` is a recording of one claim (`data/record.py` shows how each was made); `NAME.text` and
//! `NAME.json` are the expected output. After an intended change of the output, update them with `UPDATE_GOLDEN=1 cargo
//! test -p tcpwatch --test replay` and read the difference.

#[cfg(test)]
mod replay {
    mod edited;
    mod filters;
    mod golden;
    mod lives;
    mod lost;
    mod marks;
    mod places;
    mod recording;
    mod schema;
    mod summary;
}
