//! What the first lines of the log and of the exporter say about what is not visible here.

use tcpwatch::cli::exit;
use tcpwatch_kernel::probe::Probes;

/// How many hooks are attached, and what is invisible in spite of them.
pub(crate) fn hooks(probes: &Probes) -> String {
    let attached = probes.attached.len();
    let words = format!("hooks {attached} of {}", attached + probes.off.len());
    let names: Vec<_> = probes.trial.invisible().map(|feature| feature.name).collect();
    if names.is_empty() { words } else { format!("{words}, which do not see {}", names.join(", ")) }
}

/// Says what this kernel or these privileges do not allow, and what the trial found or did not try.
pub(crate) fn say_missing(probes: &Probes) {
    for (tells, why) in probes.missing() {
        exit::say(&format!("tcpwatch: not seen: {tells}: {why}\n"));
    }
    for feature in probes.trial.invisible() {
        exit::say(&format!(
            "tcpwatch: {} is not visible on this kernel: the hooks are attached, but {} that tcpwatch \
             made itself did not show; `tcpwatch check` tries all there is to see\n",
            feature.name, feature.made,
        ));
    }
    if let Some((features, why)) = probes.trial.not_tried() {
        let names: Vec<_> = features.iter().map(|feature| feature.name).collect();
        exit::say(&format!(
            "tcpwatch: not tried whether the hooks see {}: {why}; `tcpwatch check` says what that \
             takes\n",
            names.join(", "),
        ));
    }
}
