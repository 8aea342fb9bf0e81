//! `--retries`, `--lives` and `--failed`.
