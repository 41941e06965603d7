/* health.h - a small listener of its own for those who look after a node.
 *
 * "/" says that the process lives (204, or 500), "/ready" whether to send it work (204, or 503),
 * "/metrics" gives numbers as Prometheus reads them; GET alone. It has its own threads, so it
 * answers while every REST worker is held.
 *
 * Threads: the callbacks run on its workers, two at once.
 */
#ifndef KJ_HTTP_HEALTH_H
#define KJ_HTTP_HEALTH_H

#include "base/buffer.h"
#include "base/counters.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__health;

struct kj__health_options {
    const char *listen; /* "ADDR:PORT"; port 0 picks one; borrowed for the start alone */
    uint32_t head_timeout_ms;
    /* `error` is empty, and told to the asker when the answer is no. */
    bool (*is_alive)(struct kj_error *error, void *ctx);
    bool (*is_ready)(struct kj_error *error, void *ctx);
    void (*add_metrics)(struct kj__buffer *out, void *ctx);
    void *ctx;
};

/* Listens. KJ_EIO with `error` naming address and reason, KJ_EINVAL for a bad address. */
enum kj_status kj__health_start(const struct kj__health_options *options,
                                struct kj__health **health, struct kj_error *error);

uint16_t kj__health_port(const struct kj__health *health);

void kj__health_stop(struct kj__health *health); /* and frees it; NULL is fine */

#endif
