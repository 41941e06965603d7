/* certificate.h - a client's certificate, counted: its requests and sessions share one copy.
 *
 * Immutable; every call is for any thread.
 */
#ifndef KJ_CODEC_CERTIFICATE_H
#define KJ_CODEC_CERTIFICATE_H

#include <kujata/certificate.h>
#include <stdatomic.h>
#include <stdint.h>

/* One block of memory: names and bytes lie behind it. */
struct kj__certificate {
    struct kj_certificate seen;
    _Atomic uint32_t refs;
};

/* A copy of all that `values` leads to, with one reference; NULL when there is no memory. */
struct kj__certificate *kj__certificate_new(const struct kj_certificate *values);

/* NULL is fine in either. */
struct kj__certificate *kj__certificate_ref(struct kj__certificate *certificate);
void kj__certificate_unref(struct kj__certificate *certificate);

static inline const struct kj_certificate *
kj__certificate_seen(const struct kj__certificate *certificate)
{
    return certificate ? &certificate->seen : NULL;
}

#endif
