//! Retransmissions are reported for their own segment: which one, since when, and what was expected.

mod data;
mod handshake;
mod views;

use crate::harness::side_by_side;

#[test]
fn what_is_sent_again_is_told_of_its_own_segment() {
    needs_root!();
    side_by_side(&[
        ("data_with_fin", data::a_fin_that_is_sent_again_with_data_is_data),
        ("bytes", data::bytes_count_once_whatever_the_own_network_drops),
        ("undelivered", data::bytes_that_nobody_acknowledges_are_not_delivered),
        ("each_segment", data::the_time_since_the_last_is_that_of_the_segment),
        ("not_sent", data::what_is_not_sent_is_no_retransmission),
        ("refused_here", data::what_the_own_queue_refuses_was_not_sent_again),
        ("deferred", handshake::a_deferred_accept_passes_one_timeout_without_a_segment),
        ("challenged", handshake::a_syn_that_follows_a_challenge_was_not_expected_later),
        ("fast_open", handshake::fast_open_is_named_at_both_ends),
        ("fast_open_again", handshake::a_syn_ack_of_fast_open_is_its_sockets),
        ("late_syn", handshake::a_handshake_begins_with_the_syn_and_not_with_connect),
        ("late_syn_lost", handshake::a_late_syn_that_is_lost_is_counted_from_its_sending),
        ("views", views::retries_shows_the_lines_of_the_log),
    ]);
}
