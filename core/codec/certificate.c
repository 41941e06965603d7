/* certificate.c - see certificate.h. */
#include "codec/certificate.h"

#include <stdlib.h>
#include <string.h>

static char *append(char **end, const void *bytes, size_t len)
{
    char *place = *end;
    memcpy(place, bytes, len);
    *end += len;
    return place;
}

struct kj__certificate *kj__certificate_new(const struct kj_certificate *values)
{
    size_t count = 0;
    size_t text_len = strlen(values->subject) + 1;
    for (; values->names[count]; count++) {
        text_len += strlen(values->names[count]) + 1;
    }
    size_t names_size = (count + 1) * sizeof(char *);
    struct kj__certificate *made = malloc(sizeof *made + names_size + text_len + values->der_len);
    if (!made) {
        return NULL;
    }
    const char **names = (const char **)(made + 1);
    char *end = (char *)(names + count + 1);
    for (size_t i = 0; i < count; i++) {
        names[i] = append(&end, values->names[i], strlen(values->names[i]) + 1);
    }
    names[count] = NULL;
    const char *subject = append(&end, values->subject, strlen(values->subject) + 1);
    const char *der = append(&end, values->der, values->der_len);
    made->seen = (struct kj_certificate){.subject = subject,
                                         .names = names,
                                         .der = (const uint8_t *)der,
                                         .der_len = values->der_len};
    atomic_init(&made->refs, 1);
    return made;
}

struct kj__certificate *kj__certificate_ref(struct kj__certificate *certificate)
{
    if (certificate) {
        atomic_fetch_add_explicit(&certificate->refs, 1, memory_order_relaxed);
    }
    return certificate;
}

void kj__certificate_unref(struct kj__certificate *certificate)
{
    if (certificate &&
        atomic_fetch_sub_explicit(&certificate->refs, 1, memory_order_acq_rel) == 1) {
        free(certificate);
    }
}
