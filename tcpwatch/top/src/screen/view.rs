//! All sockets of the view, to be written.

use std::sync::Arc;

use tcpwatch_core::{place::CgroupPlace, track::SocketNow};

use super::Screen;
use crate::written;

impl Screen {
    /// The sockets of the view that exist, in its order, and where their owners run.
    pub fn view(&mut self) -> Vec<(SocketNow, Option<Arc<CgroupPlace>>)> {
        let model = self.shown();
        let now = model.sockets.now;
        let ranks = model.order.page(None, usize::MAX);
        let mut rows = Vec::new();
        for rank in ranks {
            let Some(row) = model.sockets.get(rank.id) else { continue };
            if row.ended.is_none() {
                let written = written::socket_now(row, now);
                let place = model.sockets.place(&written.subject);
                rows.push((written, place));
            }
        }
        rows
    }
}
