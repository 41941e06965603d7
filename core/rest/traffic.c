/* traffic.c - see traffic.h. */
#include "rest/traffic.h"

#include "base/clock.h"
#include "base/latency.h"
#include "base/metrics.h"
#include "model/identity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LABELS_SIZE = 256,
    CATEGORY_SIZE = 100, /* a longer one is "other" */
    CODES_MAX = 16,      /* more statuses than processors give one route; then the last counts */
    US_PER_SECOND = 1000000,
};

struct code_count {
    int code;
    uint64_t count;
};

struct row {
    struct kj__latency latency;
    struct code_count codes[CODES_MAX];
    size_t code_count;
};

void kj__traffic_init(struct kj__traffic *traffic, const struct kj_model *model)
{
    traffic->model = model;
    pthread_mutex_init(&traffic->lock, NULL);
    kj__map_init(&traffic->rows);
}

void kj__traffic_fini(struct kj__traffic *traffic)
{
    kj__map_fini(&traffic->rows, free);
    pthread_mutex_destroy(&traffic->lock);
}

/* ---- shapes ---- */

static const char *shown_method(const char *method)
{
    static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], method) == 0) {
            return known[i];
        }
    }
    return "other";
}

/* Copies a segment that is a category of the model; false for any other. */
static bool take_category(const struct kj_model *model, const char *text, size_t len,
                          char category[CATEGORY_SIZE])
{
    if (len >= CATEGORY_SIZE) {
        return false;
    }
    memcpy(category, text, len);
    category[len] = '\0';
    /* What a label would have to escape is shown as "other" too. */
    return !strpbrk(category, "\"\\\n") && kj__model_by_category(model, 0, category);
}

/* Clients must not make a row for each pair of categories. */
static bool are_related(const struct kj_model *model, const char *parent, const char *child)
{
    return kj__model_allows(model, kj__model_by_category(model, 0, parent),
                            kj__model_by_category(model, 0, child), KJ_OP_ALL);
}

/* Behind "/v/N", where there is one. */
static const char *skip_version(const char *path)
{
    if (strncmp(path, "/v/", 3) != 0) {
        return path;
    }
    size_t digits = strspn(path + 3, "0123456789");
    return digits ? path + 3 + digits : path;
}

static void shape(const struct kj_model *model, const char *path, char *url, size_t size)
{
    char first[CATEGORY_SIZE];
    char third[CATEGORY_SIZE];
    (void)snprintf(url, size, "other");
    path = skip_version(path);
    if (strcmp(path, "/") == 0) {
        (void)snprintf(url, size, "/");
        return;
    }
    size_t len = *path == '/' ? strcspn(path + 1, "/") : 0;
    if (len == 0 || !take_category(model, path + 1, len, first)) {
        return;
    }
    path += 1 + len;
    if (*path == '\0') {
        (void)snprintf(url, size, "/%s", first);
        return;
    }
    path += 1 + strcspn(path + 1, "/");
    if (*path == '\0') {
        (void)snprintf(url, size, "/%s/:id", first);
    } else if (!strchr(path + 1, '/') && take_category(model, path + 1, strlen(path + 1), third) &&
               are_related(model, first, third)) {
        (void)snprintf(url, size, "/%s/:id/%s", first, third);
    }
}

/* ---- counting ---- */

/* Lock held; makes the row when there is none. */
static struct row *find_row(struct kj__traffic *traffic, const char *labels)
{
    struct row *row = kj__map_get(&traffic->rows, labels);
    if (!row) {
        row = calloc(1, sizeof *row);
        if (row && !kj__map_put(&traffic->rows, labels, row, NULL)) {
            free(row);
            row = NULL;
        }
    }
    return row;
}

static void count_code(struct row *row, int code)
{
    size_t at = 0;
    while (at < row->code_count && row->codes[at].code != code) {
        at++;
    }
    if (at == CODES_MAX) {
        at--;
    } else if (at == row->code_count) {
        row->codes[row->code_count++].code = code;
    }
    row->codes[at].count++;
}

static void count(struct kj__traffic *traffic, const char *method, const char *url, int status,
                  uint64_t us)
{
    char labels[LABELS_SIZE + 32];
    (void)snprintf(labels, sizeof labels, "method=\"%s\",url=\"%s\"", shown_method(method), url);
    uint64_t now_ms = kj__clock_monotonic_ms();
    pthread_mutex_lock(&traffic->lock);
    struct row *row = find_row(traffic, labels);
    if (row) {
        count_code(row, status);
        kj__latency_add(&row->latency, now_ms, us);
    }
    pthread_mutex_unlock(&traffic->lock);
}

void kj__traffic_count(struct kj__traffic *traffic, const char *method, const char *path,
                       int status, uint64_t us)
{
    char url[LABELS_SIZE];
    shape(traffic->model, path, url, sizeof url);
    count(traffic, method, url, status, us);
}

void kj__traffic_count_route(struct kj__traffic *traffic, const char *method, const char *path,
                             int status, uint64_t us)
{
    count(traffic, method, strlen(path) < LABELS_SIZE ? path : "other", status, us);
}

/* ---- telling ---- */

/* Lock held; the answers with a status of at least `from`. */
static void add_codes(const struct kj__traffic *traffic, struct kj__buffer *out, const char *name,
                      int from)
{
    const struct kj__map_entry *entry = NULL;
    while ((entry = kj__map_next(&traffic->rows, entry))) {
        const struct row *row = entry->value;
        for (size_t i = 0; i < row->code_count; i++) {
            if (row->codes[i].code >= from) {
                char labels[LABELS_SIZE + 64];
                (void)snprintf(labels, sizeof labels, "%s,code=\"%d\"", entry->key,
                               row->codes[i].code);
                kj__metrics_number(out, name, labels, row->codes[i].count);
            }
        }
    }
}

/* Lock held. */
static void add_durations(const struct kj__traffic *traffic, struct kj__buffer *out)
{
    static const struct {
        double value;
        const char *text;
    } quantiles[] = {{0.5, "0.5"}, {0.9, "0.9"}, {0.99, "0.99"}};
    uint64_t now_ms = kj__clock_monotonic_ms();
    const struct kj__map_entry *entry = NULL;
    while ((entry = kj__map_next(&traffic->rows, entry))) {
        struct row *row = entry->value;
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            char labels[LABELS_SIZE + 64];
            double us = kj__latency_quantile(&row->latency, now_ms, quantiles[i].value);
            (void)snprintf(labels, sizeof labels, "%s,quantile=\"%s\"", entry->key,
                           quantiles[i].text);
            kj__metrics_real(out, "http_requests_duration_seconds", labels,
                             us < 0 ? (double)NAN : us / US_PER_SECOND);
        }
        kj__metrics_real(out, "http_requests_duration_seconds_sum", entry->key,
                         (double)row->latency.sum_us / US_PER_SECOND);
        kj__metrics_number(out, "http_requests_duration_seconds_count", entry->key,
                           row->latency.count);
    }
}

void kj__traffic_metrics(struct kj__traffic *traffic, struct kj__buffer *out)
{
    pthread_mutex_lock(&traffic->lock);
    kj__metrics_head(out, "http_requests_total", KJ__COUNTER, "REST requests answered.");
    add_codes(traffic, out, "http_requests_total", 0);
    kj__metrics_head(out, "http_errors_5xx_total", KJ__COUNTER,
                     "REST answers with a status from 500 on.");
    add_codes(traffic, out, "http_errors_5xx_total", 500);
    kj__metrics_head(out, "http_requests_duration_seconds", KJ__SUMMARY,
                     "Time from a whole request to its answer; quantiles of the last minutes.");
    add_durations(traffic, out);
    pthread_mutex_unlock(&traffic->lock);
}
