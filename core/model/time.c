/* time.c - see kujata/time.h. */
#include <kujata/time.h>

#include "base/timestamp.h"

bool kj_time_parse(const char *text, size_t len, struct kj_time *time)
{
    struct kj__timestamp timestamp;
    if (!kj__timestamp_parse(text, len, &timestamp)) {
        return false;
    }
    *time = (struct kj_time){timestamp.seconds, timestamp.nanoseconds};
    return true;
}

int kj_time_compare(struct kj_time left, struct kj_time right)
{
    if (left.seconds != right.seconds) {
        return left.seconds < right.seconds ? -1 : 1;
    }
    return (left.nanoseconds > right.nanoseconds) - (left.nanoseconds < right.nanoseconds);
}
