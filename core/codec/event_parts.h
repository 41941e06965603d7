/* event_parts.h - the inside of an event, for the files that make and write them. */
#ifndef KJ_CODEC_EVENT_PARTS_H
#define KJ_CODEC_EVENT_PARTS_H

#include <jansson.h>
#include <kujata/event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The time of an event that has none: Go's zero time, and every time before 1677. */
#define KJ__EVENT_NO_TIME INT64_MIN

/* Immutable but for the two atomics. */
struct kj_event {
    _Atomic size_t references;
    json_t *_Atomic decoded; /* the entity, made on demand; NULL before */
    json_t *tracking;        /* an object of strings within the limits; NULL: none */
    enum kj_encoding encoding;
    bool is_blanked; /* made without secrets; set before anybody else has it */
    int64_t timestamp_ns;
    const char *type, *identity; /* in `text` */
    const char *seq;             /* likewise; NULL: none came with it */
    size_t type_len, identity_len;
    uint8_t *entity; /* malloc'd */
    size_t entity_len;
    char text[];
};

/* What an event is made of. Texts need no terminator. */
struct kj__event_parts {
    const char *type, *identity;
    const char *seq; /* NULL: none */
    size_t type_len, identity_len, seq_len;
    int64_t timestamp_ns;
    enum kj_encoding encoding;
    uint8_t *entity; /* malloc'd; taken, also on failure */
    size_t entity_len;
};

enum kj_status kj__event_assemble_take(const struct kj__event_parts *parts,
                                       struct kj_event **event);

#endif
