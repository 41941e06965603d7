/* log.h - one line for a person, on stderr.                                 [any thread]
 *
 * A line is "TIME LEVEL MODULE TEXT". Log what somebody must act on or asked to see; count
 * the rest. kj__log_limited keeps a line that bad input can cause to one a second.
 */
#ifndef KJ_BASE_LOG_H
#define KJ_BASE_LOG_H

#include <stdatomic.h>
#include <stdint.h>

enum kj__log_level { KJ__LOG_ERROR, KJ__LOG_WARNING, KJ__LOG_INFO, KJ__LOG_DEBUG };

/* Lines above this level are not written; KJ__LOG_INFO at first. */
void kj__log_set_level(enum kj__log_level level);

__attribute__((format(printf, 3, 4))) void kj__log(enum kj__log_level level, const char *module,
                                                   const char *format, ...);

/* One per call site, static and zero. */
struct kj__log_limit {
    _Atomic uint64_t next_ms;
    _Atomic uint64_t suppressed;
};

__attribute__((format(printf, 4, 5))) void kj__log_limited(struct kj__log_limit *limit,
                                                           enum kj__log_level level,
                                                           const char *module, const char *format,
                                                           ...);

#endif
