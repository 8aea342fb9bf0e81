//! The binary's errors and exit status when it is used wrongly or the machine lacks something.

#[cfg(test)]
mod cli {
    mod draw;
    mod explain;
    mod files;
    mod help;
    mod invisible;
    mod limited;
    mod list;
    mod odd;
    mod privilege;
    mod program;
    mod recordings;
    mod reference;
    mod usage;
}
