//! Members of a line that say where the owner of its socket runs.

use tcpwatch_core::place::Place;

use super::{Object, key};

/// Those that are known.
pub(super) fn place(line: &mut Object<'_>, place: &Place) {
    let Place { path, unit, container, pod } = place;
    line.bytes(key!("cgroup"), path);
    if let Some(unit) = unit {
        line.text(key!("unit"), unit);
    }
    if let Some(container) = container {
        line.text(key!("container"), &container.id);
        if let Some(runtime) = container.runtime {
            line.word(key!("runtime"), runtime.word());
        }
        if let Some(name) = &container.name {
            line.text(key!("container_name"), name);
        }
    }
    if let Some(pod) = pod {
        line.text(key!("pod"), pod);
    }
}
