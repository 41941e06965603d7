/* report.c - see report.h. */
#include "pubsub/report.h"

#include "base/log.h"
#include "pubsub/thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void write_log(const struct kj__reporter *reporter, enum kj_status status, const char *text)
{
    static struct kj__log_limit full, other;
    if (status == KJ_OK || status == KJ_EDISCONNECTED) {
        /* As rare as the tries to reach the broker. */
        kj__log(status ? KJ__LOG_WARNING : KJ__LOG_INFO, reporter->module, "%s", text);
    } else {
        kj__log_limited(status == KJ_EFULL ? &full : &other, KJ__LOG_WARNING, reporter->module,
                        "%s", text);
    }
}

static void tell(struct kj__reporter *reporter, enum kj_status status, uint64_t count,
                 const char *text)
{
    char line[KJ__ALARM_TEXT_MAX + 64];
    if (count > 1) {
        snprintf(line, sizeof line, "%s (%llu times)", text, (unsigned long long)count);
    } else {
        snprintf(line, sizeof line, "%s", text);
    }
    if (reporter->errors.on_error) {
        reporter->errors.on_error(status, line, reporter->errors.ctx);
    } else {
        write_log(reporter, status, line);
    }
}

/* Takes the oldest alarm off the list and tells it; lock held, released meanwhile. */
static void tell_oldest(struct kj__reporter *reporter)
{
    struct kj__alarm *alarm = KJ__CONTAINER_OF(reporter->pending.next, struct kj__alarm, node);
    struct kj__alarm copy = *alarm;
    kj__list_unlink(&alarm->node);
    alarm->count = 0;
    if (alarm->orphaned) {
        free(alarm);
    }
    pthread_mutex_unlock(&reporter->lock);
    tell(reporter, copy.status, copy.count, copy.text);
    pthread_mutex_lock(&reporter->lock);
}

static void *run(void *arg)
{
    struct kj__reporter *reporter = arg;
    pthread_mutex_lock(&reporter->lock);
    while (!reporter->stopping || !kj__list_is_empty(&reporter->pending)) {
        if (kj__list_is_empty(&reporter->pending)) {
            pthread_cond_wait(&reporter->raised, &reporter->lock);
        } else {
            tell_oldest(reporter);
        }
    }
    pthread_mutex_unlock(&reporter->lock);
    return NULL;
}

bool kj__reporter_init(struct kj__reporter *reporter, const char *module,
                       const struct kj_pubsub_errors *errors)
{
    *reporter = (struct kj__reporter){.module = module, .errors = *errors};
    kj__list_init(&reporter->pending);
    pthread_mutex_init(&reporter->lock, NULL);
    pthread_cond_init(&reporter->raised, NULL);
    if (kj__thread_start(&reporter->thread, "kj-report", run, reporter)) {
        return true;
    }
    pthread_cond_destroy(&reporter->raised);
    pthread_mutex_destroy(&reporter->lock);
    return false;
}

void kj__reporter_fini(struct kj__reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    reporter->stopping = true;
    pthread_cond_signal(&reporter->raised);
    pthread_mutex_unlock(&reporter->lock);
    pthread_join(reporter->thread, NULL);
    pthread_cond_destroy(&reporter->raised);
    pthread_mutex_destroy(&reporter->lock);
}

struct kj__alarm *kj__alarm_new(enum kj_status status, const char *format, ...)
{
    struct kj__alarm *alarm = calloc(1, sizeof *alarm);
    if (!alarm) {
        return NULL;
    }
    kj__list_init(&alarm->node);
    alarm->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(alarm->text, sizeof alarm->text, format, arguments);
    va_end(arguments);
    return alarm;
}

void kj__alarm_raise(struct kj__alarm *alarm, struct kj__reporter *reporter)
{
    pthread_mutex_lock(&reporter->lock);
    if (alarm->count++ == 0) {
        kj__list_append(&reporter->pending, &alarm->node);
        pthread_cond_signal(&reporter->raised);
    }
    pthread_mutex_unlock(&reporter->lock);
}

void kj__alarm_release(struct kj__alarm *alarm, struct kj__reporter *reporter)
{
    if (!alarm) {
        return;
    }
    pthread_mutex_lock(&reporter->lock);
    bool pending = alarm->count > 0;
    alarm->orphaned = true;
    pthread_mutex_unlock(&reporter->lock);
    if (!pending) {
        free(alarm);
    }
}
