//! Retransmissions and their times, resets, errors, and the line about a whole connection.

mod ends;
mod fin;
mod lives;
mod options;
mod resets;
mod syn;
mod timeouts;

use std::time::Duration;

use tcpwatch_core::timing::wheel::TickRate;
use tcpwatch_kernel::clock;

use crate::harness::{
    side_by_side,
    sockets::{V4, V6},
};

/// Long enough for anything here that takes a few seconds.
const SOON: Duration = Duration::from_secs(20);

fn rate() -> TickRate {
    clock::tick_rate()
}

#[test]
fn what_the_kernel_repeats_is_told_at_its_time_until_the_end() {
    needs_root!();
    side_by_side(&[
        ("syn_4", || syn::lost(V4, (4, 0), &[1, 3, 7, 15], 31)),
        ("syn_3", || syn::lost(V4, (3, 0), &[1, 3, 7], 15)),
        ("syn_2", || syn::lost(V4, (2, 0), &[1, 3], 7)),
        ("syn_1", || syn::lost(V4, (1, 0), &[1], 3)),
        ("syn_3_linear", || syn::lost(V4, (3, 4), &[1, 2, 3, 4, 5, 7, 11], 19)),
        ("syn_2_linear", || syn::lost(V4, (2, 4), &[1, 2, 3, 4, 5], 7)),
        ("syn_1_linear", || syn::lost(V4, (1, 4), &[1, 2], 3)),
        ("syn_1_v6", || syn::lost(V6, (1, 0), &[1], 3)),
        ("syn_local_port", syn::lost_while_the_port_is_asked_for),
        ("syn_user_timeout", syn::lost_with_a_user_timeout),
        ("syn_ack", syn::a_syn_that_crosses_its_answer_is_one_attempt),
        ("ack", || syn::an_ack_that_is_lost_leaves_a_connection_half_open(V4)),
        ("ack_v6", || syn::an_ack_that_is_lost_leaves_a_connection_half_open(V6)),
        ("queue", syn::a_full_accept_queue_leaves_a_connection_half_open),
        ("queue_reset", syn::a_full_accept_queue_can_reset_a_connection),
        ("both_open", syn::a_simultaneous_open_is_given_up),
        ("fin_1", || fin::lost_in_fin_wait_1(V4, 1, true)),
        ("fin_2", || fin::lost_in_fin_wait_1(V4, 2, true)),
        ("fin_1_no_sack", || fin::lost_in_fin_wait_1(V4, 1, false)),
        ("fin_2_no_sack", || fin::lost_in_fin_wait_1(V4, 2, false)),
        ("fin_1_v6", || fin::lost_in_fin_wait_1(V6, 1, true)),
        ("fin_kept", fin::lost_in_fin_wait_1_of_a_kept_socket),
        ("last_ack", fin::lost_in_last_ack),
        ("data", fin::data_that_are_heard_at_last),
        ("keepalive", timeouts::keepalive),
        ("user_timeout", timeouts::user_timeout),
        ("half_closed", || lives::a_peer_that_never_closes("61", 2)),
        ("no_neighbour", ends::a_host_that_does_not_answer_on_its_link_is_unreachable),
    ]);
}
