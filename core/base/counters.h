/* counters.h - what happened, counted once each, under the names people see.
 *
 * Every drop, refusal and error of the library has a row here. [any thread]
 */
#ifndef KJ_BASE_COUNTERS_H
#define KJ_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* Member, name, what it is to Prometheus, a help text of one sentence. Gauges go down again. An
 * event that is queued for a session ends as a frame sent, or in one of the events_dropped rows. */
#define KJ__COUNTER_MAP(X)                                                                         \
    X(http_requests, "http_requests_total", COUNTER, "REST requests answered.")                    \
    X(http_errors_4xx, "http_errors_4xx_total", COUNTER,                                           \
      "REST answers with a status from 400 to 499.")                                               \
    X(http_errors_5xx, "http_errors_5xx_total", COUNTER,                                           \
      "REST answers with a status from 500 on.")                                                   \
    X(http_malformed, "http_malformed_total", COUNTER,                                             \
      "Requests that are not HTTP, or no handshake.")                                              \
    X(http_body_too_large, "http_body_too_large_total", COUNTER, "Requests refused with 413.")     \
    X(http_body_too_slow, "http_body_too_slow_total", COUNTER,                                     \
      "Requests whose body took too long.")                                                        \
    X(http_rate_limited, "http_requests_rate_limited_total", COUNTER,                              \
      "Requests refused with 429.")                                                                \
    X(http_locked, "http_requests_locked_total", COUNTER,                                          \
      "Writes refused with 423, since the server is read-only.")                                   \
    X(route_requests, "route_requests_total", COUNTER,                                             \
      "Requests at paths of the application's routes, and at the API listener.")                   \
    X(api_keys_refused, "api_keys_refused_total", COUNTER,                                         \
      "Requests at the API listener without a good key.")                                          \
    X(http_write_failed, "http_write_failed_total", COUNTER, "Answers that could not be sent.")    \
    X(idempotency_hits, "idempotency_hits_total", COUNTER,                                         \
      "Writes answered with the first answer to their Idempotency-Key.")                           \
    X(idempotency_conflicts, "idempotency_conflicts_total", COUNTER,                               \
      "Writes refused for their Idempotency-Key, with 409 or 422.")                                \
    X(idempotency_evictions, "idempotency_evictions_total", COUNTER,                               \
      "Answers to Idempotency-Keys dropped before their time.")                                    \
    X(idempotency_answers, "idempotency_answers_current", GAUGE,                                   \
      "Answers to Idempotency-Keys kept.")                                                         \
    X(idempotency_bytes, "idempotency_bytes_current", GAUGE, "Bytes of them.")                     \
    X(connections, "tcp_connections_total", COUNTER, "Connections accepted.")                      \
    X(connections_waiting, "http_connections_waiting_current", GAUGE,                              \
      "Connections whose request is not there yet, or is held back.")                              \
    X(connections_served, "http_connections_current", GAUGE, "Connections that have a worker.")    \
    X(connections_held, "http_connections_held_total", COUNTER,                                    \
      "Connections held back while others of their address had three quarters of the workers.")    \
    X(connections_over_limit, "http_connections_over_limit_total", COUNTER,                        \
      "Connections closed since too many wait.")                                                   \
    X(heads_too_slow, "http_heads_too_slow_total", COUNTER,                                        \
      "Connections closed since their request took too long.")                                     \
    X(accepts_failed, "tcp_accepts_failed_total", COUNTER,                                         \
      "Times there was no descriptor for a connection.")                                           \
    X(tls_handshakes_failed, "tls_handshakes_failed_total", COUNTER,                               \
      "TLS handshakes that failed.")                                                               \
    X(tls_reloads, "tls_reloads_total", COUNTER, "Times the TLS files were read again.")           \
    X(tls_reloads_failed, "tls_reloads_failed_total", COUNTER,                                     \
      "Times the TLS files could not be read again.")                                              \
    X(handshakes_refused, "http_ws_handshakes_refused_total", COUNTER,                             \
      "Handshakes answered with an error.")                                                        \
    X(handshakes_bad_origin, "http_ws_handshakes_bad_origin_total", COUNTER,                       \
      "Handshakes of browsers from an origin that is not allowed.")                                \
    X(handshakes_over_limit, "http_ws_handshakes_over_limit_total", COUNTER,                       \
      "Handshakes refused since there are too many sessions.")                                     \
    X(handshakes_rate_limited, "http_ws_handshakes_rate_limited_total", COUNTER,                   \
      "Handshakes refused with 429.")                                                              \
    X(handover_failed, "http_ws_handover_failed_total", COUNTER,                                   \
      "Handshakes refused for want of a descriptor.")                                              \
    X(handover_peer_gone, "http_ws_handover_peer_gone_total", COUNTER,                             \
      "Handshakes whose client was gone.")                                                         \
    X(early_frames, "http_ws_early_frames_total", COUNTER,                                         \
      "Handshakes with frames before their end.")                                                  \
    X(sessions_opened, "http_ws_connections_total", COUNTER, "Sessions started.")                  \
    X(sessions, "http_ws_connections_current", GAUGE, "Sessions open.")                            \
    X(closed_by_peer, "sessions_closed_by_peer_total", COUNTER, "Sessions their clients ended.")   \
    X(closed_protocol_error, "sessions_closed_protocol_error_total", COUNTER,                      \
      "Sessions ended by a violation of RFC 6455.")                                                \
    X(closed_over_limit, "sessions_closed_over_limit_total", COUNTER,                              \
      "Sessions ended by a message over a limit.")                                                 \
    X(closed_bad_config, "sessions_closed_bad_push_config_total", COUNTER,                         \
      "Sessions ended by a bad push config.")                                                      \
    X(closed_unauthorized, "sessions_closed_unauthorized_total", COUNTER,                          \
      "Sessions ended since their new token was refused.")                                         \
    X(closed_pong_timeout, "sessions_closed_pong_timeout_total", COUNTER,                          \
      "Sessions whose pong did not come.")                                                         \
    X(closed_write_stall, "sessions_closed_write_stall_total", COUNTER,                            \
      "Sessions that took no byte for too long.")                                                  \
    X(closed_queue_full, "sessions_closed_queue_full_total", COUNTER,                              \
      "Sessions ended by a full queue.")                                                           \
    X(closed_by_server, "sessions_closed_by_server_total", COUNTER,                                \
      "Sessions ended by the server.")                                                             \
    X(closed_expired, "sessions_closed_expired_total", COUNTER,                                    \
      "Sessions whose credential ran out.")                                                        \
    X(closed_io_error, "sessions_closed_io_error_total", COUNTER,                                  \
      "Sessions ended by an error of their socket.")                                               \
    X(auth_refused, "auth_refused_total", COUNTER,                                                 \
      "Calls and handshakes that authenticators refused.")                                         \
    X(access_refused, "access_refused_total", COUNTER,                                             \
      "Calls and handshakes that authorizers or on_session_init refused.")                         \
    X(auth_reloads, "auth_reloads_total", COUNTER, "Times tokens or keys were read again.")        \
    X(auth_reloads_failed, "auth_reloads_failed_total", COUNTER,                                   \
      "Times tokens or keys could not be read again.")                                             \
    X(endings_told, "session_endings_told_total", COUNTER,                                         \
      "Ends of credentials that other nodes were told of.")                                        \
    X(endings_untold, "session_endings_untold_total", COUNTER,                                     \
      "Ends of credentials that the backend did not take.")                                        \
    X(endings_heard, "session_endings_heard_total", COUNTER,                                       \
      "Ends of credentials that other nodes told of.")                                             \
    X(endings_sessions, "session_endings_sessions_total", COUNTER,                                 \
      "Sessions and clients ended since another node told of their credential.")                   \
    X(endings_undecodable, "session_endings_undecodable_total", COUNTER,                           \
      "Publications that tell of no end of a credential.")                                         \
    X(audit_records, "audit_records_total", COUNTER, "Records an auditor took.")                   \
    X(audit_lost, "audit_records_lost_total", COUNTER, "Records an auditor could not keep.")       \
    X(frames_in, "frames_received_total", COUNTER, "Frames received.")                             \
    X(frames_out, "frames_sent_total", COUNTER, "Frames sent.")                                    \
    X(bytes_in, "frame_bytes_received_total", COUNTER, "Bytes of frames received.")                \
    X(bytes_out, "frame_bytes_sent_total", COUNTER, "Bytes of frames sent.")                       \
    X(push_configs, "push_configs_total", COUNTER, "Push configs taken over.")                     \
    X(push_configs_bad, "push_configs_bad_total", COUNTER, "Push configs refused.")                \
    X(late_closes, "push_configs_bad_held_total", COUNTER,                                         \
      "Sessions held a while before a bad push config ended them.")                                \
    X(interests, "push_interests_current", GAUGE,                                                  \
      "Different wishes of sessions that shards keep.")                                            \
    X(filters_evaluated, "filters_evaluated_total", COUNTER, "Filters evaluated on events.")       \
    X(filters_cut, "filters_cut_short_total", COUNTER, "Filters whose evaluation was cut short.")  \
    X(query_filters_cut, "query_filters_cut_short_total", COUNTER,                                 \
      "Evaluations of q on an object that were cut short.")                                        \
    X(lists_over_bytes, "lists_over_bytes_total", COUNTER,                                         \
      "Lists ended early, and pages refused, since they have too many bytes.")                     \
    X(events_published, "events_published_total", COUNTER, "Events given to the backend.")         \
    X(events_publish_refused, "events_publish_refused_total", COUNTER,                             \
      "Events a publish handler refused.")                                                         \
    X(events_publish_failed, "events_publish_failed_total", COUNTER,                               \
      "Events the backend did not take.")                                                          \
    X(events_bad_subject, "events_bad_subject_total", COUNTER,                                     \
      "Events whose identity or type is no word of a topic.")                                      \
    X(events_received, "events_received_total", COUNTER, "Publications received.")                 \
    X(events_undecodable, "events_undecodable_total", COUNTER, "Publications that hold no event.") \
    X(tracking_ignored, "tracking_ignored_total", COUNTER,                                         \
      "Trace headers and tracking data that are malformed or too large.")                          \
    X(events_summary_failed, "events_summary_failed_total", COUNTER,                               \
      "Events whose summary failed.")                                                              \
    X(events_queued, "events_queued_total", COUNTER, "Events queued for sessions.")                \
    X(dropped_queue_full, "events_dropped_queue_full_total", COUNTER,                              \
      "Events dropped by a full session queue.")                                                   \
    X(dropped_closing, "events_dropped_session_closing_total", COUNTER,                            \
      "Events dropped since their session ended.")                                                 \
    X(dropped_no_memory, "events_dropped_no_memory_total", COUNTER,                                \
      "Events dropped for want of memory.")                                                        \
    X(announcements, "announcements_total", COUNTER, "Messages that told gateways of the node.")   \
    X(announcements_failed, "announcements_failed_total", COUNTER,                                 \
      "Hellos to gateways that the backend did not take.")                                         \
    X(goodbyes_unacknowledged, "announcements_goodbye_unacknowledged_total", COUNTER,              \
      "Goodbyes that no gateway acknowledged.")                                                    \
    X(error_events, "error_events_total", COUNTER, "Error events sent.")                           \
    X(session_pushes, "session_pushes_total", COUNTER, "Events pushed to one session.")            \
    X(session_pushes_filtered, "session_pushes_filtered_total", COUNTER,                           \
      "Events pushed to a session that did not ask for such, or began later.")                     \
    X(session_pushes_refused, "session_pushes_refused_total", COUNTER,                             \
      "Events pushed in vain: to no open session, to a busy shard, or not encodable.")             \
    X(renewals, "session_renewals_total", COUNTER, "New tokens of sessions accepted.")             \
    X(renewals_refused, "session_renewals_refused_total", COUNTER,                                 \
      "New tokens of sessions refused.")                                                           \
    X(renewals_skipped, "session_renewals_skipped_total", COUNTER,                                 \
      "New tokens nobody looked at, as a newer one came first.")                                   \
    X(renewals_failed, "session_renewals_failed_total", COUNTER,                                   \
      "Sessions ended since their new token could not be looked at.")                              \
    X(resumes, "session_resumes_total", COUNTER,                                                   \
      "Sessions that came back and were given all they had missed.")                               \
    X(resumes_too_old, "session_resumes_too_old_total", COUNTER,                                   \
      "Sessions told that what they missed is no longer kept.")                                    \
    X(resumes_other_stream, "session_resumes_other_stream_total", COUNTER,                         \
      "Sessions that came from another node, or from before the start.")                           \
    X(resumes_ahead, "session_resumes_ahead_total", COUNTER,                                       \
      "Sessions that claimed events this node has not given out.")                                 \
    X(resumes_malformed, "session_resumes_malformed_total", COUNTER,                               \
      "Sessions whose since was no place in a stream.")                                            \
    X(resumes_off, "session_resumes_off_total", COUNTER,                                           \
      "Sessions that wanted to resume where nothing is kept.")                                     \
    X(resume_events_left, "session_resume_events_left_total", COUNTER,                             \
      "Kept events not yet looked at for a session that came back when it ended.")                 \
    X(positions_told, "session_positions_told_total", COUNTER,                                     \
      "Sessions told their place in the stream, as events for others went by.")                    \
    X(stream_accepted, "stream_connections_accepted_total", COUNTER,                               \
      "Connections accepted by TCP listeners.")                                                    \
    X(stream_accept_failed, "stream_connections_failed_total", COUNTER,                            \
      "Connections TCP listeners could not accept.")                                               \
    X(stream_refused, "stream_connections_refused_total", COUNTER,                                 \
      "Connections to TCP listeners refused: over a limit, without memory, or at the stop.")       \
    X(stream_tls_failed, "stream_tls_failed_total", COUNTER,                                       \
      "Connections to TCP listeners whose TLS handshake failed or was too slow.")                  \
    X(gateway_clients_opened, "gateway_clients_total", COUNTER, "Clients of the gateway.")         \
    X(gateway_clients, "gateway_clients_current", GAUGE, "Clients of the gateway connected.")      \
    X(gateway_handshakes_too_slow, "gateway_handshakes_too_slow_total", COUNTER,                   \
      "Clients that were not let in in time.")                                                     \
    X(gateway_logins, "gateway_logins_total", COUNTER, "Tokens in messages that were accepted.")   \
    X(gateway_logins_refused, "gateway_logins_refused_total", COUNTER,                             \
      "Tokens in messages that were refused.")                                                     \
    X(gateway_works_refused, "gateway_works_refused_total", COUNTER,                               \
      "Works of clients that found too much waiting for a thread.")                                \
    X(gateway_clients_replaced, "gateway_clients_replaced_total", COUNTER,                         \
      "Clients replaced by a newer one of their user.")                                            \
    X(gateway_clients_ended, "gateway_clients_ended_total", COUNTER,                               \
      "Clients the gateway ended: kicked, replaced, or not let in in time.")                       \
    X(gateway_messages, "gateway_messages_received_total", COUNTER, "Messages of clients.")        \
    X(gateway_refusals, "gateway_requests_refused_total", COUNTER,                                 \
      "Requests of clients that their protocol refused.")                                          \
    X(gateway_messages_too_fast, "gateway_messages_too_fast_total", COUNTER,                       \
      "Messages of clients refused since too many came.")                                          \
    X(gateway_clients_too_fast, "gateway_clients_too_fast_total", COUNTER,                         \
      "Clients closed since they went on sending too many messages.")                              \
    X(gateway_topics_over_limit, "gateway_topics_over_limit_total", COUNTER,                       \
      "Topics refused since this node has too many.")                                              \
    X(gateway_joins_over_limit, "gateway_joins_over_limit_total", COUNTER,                         \
      "Joins refused since the client is in too many rooms.")                                      \
    X(gateway_topics, "gateway_topics_current", GAUGE, "Topics this node has subscribed to.")      \
    X(gateway_subscribe_failed, "gateway_subscribe_failed_total", COUNTER,                         \
      "Topics that could not be subscribed to.")                                                   \
    X(gateway_published, "gateway_published_total", COUNTER,                                       \
      "Pushes given to the backend, and words from node to node.")                                 \
    X(gateway_publish_failed, "gateway_publish_failed_total", COUNTER,                             \
      "Pushes refused, or not taken by the backend.")                                              \
    X(gateway_degraded, "gateway_degraded_total", COUNTER,                                         \
      "Pushes that this node's own clients got while the broker was away.")                        \
    X(gateway_received, "gateway_received_total", COUNTER,                                         \
      "Pushes received, and words from node to node.")                                             \
    X(gateway_missed, "gateway_missed_total", COUNTER,                                             \
      "Pushes of other nodes that did not arrive, as the numbers of those that did show.")         \
    X(gateway_undecodable, "gateway_undecodable_total", COUNTER, "Publications that are no push.") \
    X(gateway_unencodable, "gateway_unencodable_total", COUNTER,                                   \
      "Pushes that a protocol could not encode.")                                                  \
    X(gateway_session_gone, "gateway_session_gone_total", COUNTER,                                 \
      "Pushes to a session that was gone.")                                                        \
    X(gateway_broadcasts_dropped, "gateway_broadcasts_dropped_total", COUNTER,                     \
      "Pushes to all that a shard dropped, behind ones with a speed.")                             \
    X(gateway_batches, "gateway_batches_total", COUNTER, "Batches of pushes sent.")                \
    X(gateway_unwanted, "gateway_unwanted_total", COUNTER,                                         \
      "Pushes not sent to a client that had not asked for their op.")                              \
    X(gateway_waiting, "gateway_waiting_current", GAUGE,                                           \
      "Pushes that wait for their batch, on each shard.")

struct kj__counters {
#define KJ__COUNTER_MEMBER(member, name, kind, help) _Atomic uint64_t member;
    KJ__COUNTER_MAP(KJ__COUNTER_MEMBER)
#undef KJ__COUNTER_MEMBER
};

#define KJ__COUNT(counters, member) KJ__COUNT_BY(counters, member, 1)
#define KJ__COUNT_BY(counters, member, by)                                                         \
    atomic_fetch_add_explicit(&(counters)->member, (by), memory_order_relaxed)
#define KJ__UNCOUNT(counters, member)                                                              \
    atomic_fetch_sub_explicit(&(counters)->member, 1, memory_order_relaxed)

#endif
