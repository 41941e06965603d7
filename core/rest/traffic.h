/* traffic.h - REST requests by method, URL and status, as bahamut counts them.
 *
 * A URL is shown as its shape: no version, ":id" for an ID ("/lists/:id/tasks"). Whatever is
 * no category of the model is "other", and so is a method that no route has: clients cannot
 * make new rows. A route of the application is shown as its path.
 */
#ifndef KJ_REST_TRAFFIC_H
#define KJ_REST_TRAFFIC_H

#include "base/buffer.h"
#include "base/map.h"

#include <kujata/model.h>
#include <pthread.h>
#include <stdint.h>

struct kj__traffic {
    const struct kj_model *model; /* borrowed */
    pthread_mutex_t lock;
    struct kj__map rows; /* labels to struct row of traffic.c; guarded by lock */
};

void kj__traffic_init(struct kj__traffic *traffic, const struct kj_model *model);
void kj__traffic_fini(struct kj__traffic *traffic);

/* Counts an answer; without memory for a new row nothing is counted. [any thread] */
void kj__traffic_count(struct kj__traffic *traffic, const char *method, const char *path,
                       int status, uint64_t us);

/* The same for a route of the application, by its path, which needs no escapes. [any thread] */
void kj__traffic_count_route(struct kj__traffic *traffic, const char *method, const char *path,
                             int status, uint64_t us);

/* Appends http_requests_total, http_errors_5xx_total and http_requests_duration_seconds.
 * [any thread] */
void kj__traffic_metrics(struct kj__traffic *traffic, struct kj__buffer *out);

#endif
