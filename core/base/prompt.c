/* prompt.c - see prompt.h. */
#include "base/prompt.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROMPT_SLICE_NS = 100000 }; /* the shortest there is */

/* As sched_setattr(2) has it; the C library declares neither. */
struct schedule {
    uint32_t size;
    uint32_t policy; /* 0: SCHED_OTHER */
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* for SCHED_OTHER: the slice */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

void kj__thread_be_prompt(void)
{
    struct schedule schedule = {.size = sizeof schedule};
    if (syscall(SYS_sched_getattr, 0, &schedule, sizeof schedule, 0) == 0 && schedule.policy == 0) {
        schedule.runtime_ns = PROMPT_SLICE_NS;
        syscall(SYS_sched_setattr, 0, &schedule, 0);
    }
}
