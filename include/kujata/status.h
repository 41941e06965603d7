/* status.h - the outcome of every call that can fail.
 *
 * Zero is success and every failure is negative, so `if (status)` reads well.
 * A call that fails leaves its result parameter NULL (or untouched, where the
 * result is a number) and never invokes a callback it was given.
 */
#ifndef KUJATA_STATUS_H
#define KUJATA_STATUS_H

/* One row per status: name, value, text for people. */
#define KJ_STATUS_MAP(X)                                                                           \
    X(KJ_OK, 0, "success")                                                                         \
    X(KJ_EINVAL, -1, "invalid argument")                                                           \
    X(KJ_ENOMEM, -2, "out of memory")                                                              \
    X(KJ_EPARSE, -3, "malformed input")                                                            \
    X(KJ_ELIMIT, -4, "a limit was exceeded")                                                       \
    X(KJ_EFULL, -5, "a bounded queue is full")                                                     \
    X(KJ_ECLOSED, -6, "closed")                                                                    \
    X(KJ_ENOTFOUND, -7, "not found")                                                               \
    X(KJ_EEXIST, -8, "exists already")                                                             \
    X(KJ_EREFUSED, -9, "refused")                                                                  \
    X(KJ_EUNSUPPORTED, -10, "not supported")                                                       \
    X(KJ_EIO, -11, "input or output failed")                                                       \
    X(KJ_ETIMEOUT, -12, "timed out")                                                               \
    X(KJ_EDISCONNECTED, -13, "the broker is away")

enum kj_status {
#define KJ_STATUS_VALUE(name, value, text) name = (value),
    KJ_STATUS_MAP(KJ_STATUS_VALUE)
#undef KJ_STATUS_VALUE
};

/* A static English text, never NULL.                                   [any thread] */
const char *kj_status_text(enum kj_status status);

#endif
