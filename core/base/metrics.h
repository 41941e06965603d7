/* metrics.h - numbers as Prometheus reads them: its text format, version 0.0.4.
 *
 * A family is its head, then its samples without another family's in between. Not safe for
 * concurrent use.
 */
#ifndef KJ_BASE_METRICS_H
#define KJ_BASE_METRICS_H

#include "base/buffer.h"

#include <stdint.h>

#define KJ__METRICS_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum kj__metric_kind { KJ__COUNTER = 0, KJ__GAUGE, KJ__SUMMARY, KJ__HISTOGRAM };

/* `help` is one line. */
void kj__metrics_head(struct kj__buffer *out, const char *name, enum kj__metric_kind kind,
                      const char *help);

/* One sample. `labels` is as it stands between the braces, or "". */
void kj__metrics_number(struct kj__buffer *out, const char *name, const char *labels,
                        uint64_t value);
void kj__metrics_real(struct kj__buffer *out, const char *name, const char *labels, double value);

/* A family of a single sample. */
void kj__metrics_family(struct kj__buffer *out, const char *name, enum kj__metric_kind kind,
                        const char *help, double value);

/* Descriptors, memory, threads, time: the process_ families under their usual names. What the
 * system does not tell is left out. */
void kj__metrics_process(struct kj__buffer *out);

#endif
