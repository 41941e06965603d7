/* counters.h - what happened, counted once each, under the names people see.
 *
 * Every drop, refusal and error of the library has a row here. [any thread]
 */
#ifndef KJ_BASE_COUNTERS_H
#define KJ_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* Member, name. Names ending in _current go down again. An event that is queued for a session
 * ends as a frame sent, or in one of the events_dropped rows. */
#define KJ__COUNTER_MAP(X)                                                                         \
    X(http_requests, "http_requests_total")                                                        \
    X(http_errors_4xx, "http_errors_4xx_total")                                                    \
    X(http_errors_5xx, "http_errors_5xx_total")                                                    \
    X(http_malformed, "http_malformed_total")                                                      \
    X(http_body_too_large, "http_body_too_large_total")                                            \
    X(http_body_too_slow, "http_body_too_slow_total")                                              \
    X(http_write_failed, "http_write_failed_total")                                                \
    X(tls_handshakes_failed, "tls_handshakes_failed_total")                                        \
    X(tls_reloads, "tls_reloads_total")                                                            \
    X(tls_reloads_failed, "tls_reloads_failed_total")                                              \
    X(handshakes_refused, "http_ws_handshakes_refused_total")                                      \
    X(handshakes_bad_origin, "http_ws_handshakes_bad_origin_total")                                \
    X(handshakes_over_limit, "http_ws_handshakes_over_limit_total")                                \
    X(handover_failed, "http_ws_handover_failed_total")                                            \
    X(handover_peer_gone, "http_ws_handover_peer_gone_total")                                      \
    X(early_frames, "http_ws_early_frames_total")                                                  \
    X(sessions_opened, "http_ws_connections_total")                                                \
    X(sessions, "http_ws_connections_current")                                                     \
    X(closed_by_peer, "sessions_closed_by_peer_total")                                             \
    X(closed_protocol_error, "sessions_closed_protocol_error_total")                               \
    X(closed_over_limit, "sessions_closed_over_limit_total")                                       \
    X(closed_bad_config, "sessions_closed_bad_push_config_total")                                  \
    X(closed_pong_timeout, "sessions_closed_pong_timeout_total")                                   \
    X(closed_write_stall, "sessions_closed_write_stall_total")                                     \
    X(closed_queue_full, "sessions_closed_queue_full_total")                                       \
    X(closed_by_server, "sessions_closed_by_server_total")                                         \
    X(closed_io_error, "sessions_closed_io_error_total")                                           \
    X(frames_in, "frames_received_total")                                                          \
    X(frames_out, "frames_sent_total")                                                             \
    X(bytes_in, "frame_bytes_received_total")                                                      \
    X(bytes_out, "frame_bytes_sent_total")                                                         \
    X(push_configs, "push_configs_total")                                                          \
    X(push_configs_bad, "push_configs_bad_total")                                                  \
    X(interests, "push_interests_current")                                                         \
    X(filters_evaluated, "filters_evaluated_total")                                                \
    X(filters_cut, "filters_cut_short_total")                                                      \
    X(events_published, "events_published_total")                                                  \
    X(events_publish_refused, "events_publish_refused_total")                                      \
    X(events_publish_failed, "events_publish_failed_total")                                        \
    X(events_received, "events_received_total")                                                    \
    X(events_undecodable, "events_undecodable_total")                                              \
    X(events_summary_failed, "events_summary_failed_total")                                        \
    X(events_queued, "events_queued_total")                                                        \
    X(dropped_queue_full, "events_dropped_queue_full_total")                                       \
    X(dropped_closing, "events_dropped_session_closing_total")                                     \
    X(dropped_no_memory, "events_dropped_no_memory_total")                                         \
    X(error_events, "error_events_total")

struct kj__counters {
#define KJ__COUNTER_MEMBER(member, name) _Atomic uint64_t member;
    KJ__COUNTER_MAP(KJ__COUNTER_MEMBER)
#undef KJ__COUNTER_MEMBER
};

#define KJ__COUNT(counters, member) KJ__COUNT_BY(counters, member, 1)
#define KJ__COUNT_BY(counters, member, by)                                                         \
    atomic_fetch_add_explicit(&(counters)->member, (by), memory_order_relaxed)
#define KJ__UNCOUNT(counters, member)                                                              \
    atomic_fetch_sub_explicit(&(counters)->member, 1, memory_order_relaxed)

#endif
