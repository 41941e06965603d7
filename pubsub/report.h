/* report.h - tells the application what goes wrong away from its calls.
 *
 * One thread per backend runs on_error, so that no publisher, handler or socket waits for
 * it. A cause of trouble is an alarm; raised again before it was told, it is counted, not
 * told twice, so a flood costs one line.
 */
#ifndef KJ_PUBSUB_REPORT_H
#define KJ_PUBSUB_REPORT_H

#include "base/list.h"

#include <kujata/pubsub.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { KJ__ALARM_TEXT_MAX = 384 };

struct kj__reporter {
    const char *module; /* as the log names it */
    struct kj_pubsub_errors errors;
    pthread_mutex_t lock;
    pthread_cond_t raised;
    struct kj__list pending; /* of kj__alarm.node; guarded by lock, as is all below */
    bool stopping;
    pthread_t thread;
};

struct kj__alarm {
    struct kj__list node; /* linked while it waits to be told; guarded, as is all below */
    uint64_t count;       /* times raised since last told */
    bool orphaned;        /* its owner is gone: the reporter frees it once told */
    enum kj_status status;
    char text[KJ__ALARM_TEXT_MAX];
};

/* `module` is static; `errors` is copied. False when there is no thread to be had. */
bool kj__reporter_init(struct kj__reporter *reporter, const char *module,
                       const struct kj_pubsub_errors *errors);

/* Tells what is pending, then stops. Every alarm must have been released. */
void kj__reporter_fini(struct kj__reporter *reporter);

/* NULL when there is no memory. */
__attribute__((format(printf, 2, 3))) struct kj__alarm *kj__alarm_new(enum kj_status status,
                                                                      const char *format, ...);

/* Never waits for on_error.                                            [any thread] */
void kj__alarm_raise(struct kj__alarm *alarm, struct kj__reporter *reporter);

/* Gives the alarm up; what was raised is still told. NULL is fine.     [any thread] */
void kj__alarm_release(struct kj__alarm *alarm, struct kj__reporter *reporter);

#endif
