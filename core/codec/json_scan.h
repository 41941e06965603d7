/* json_scan.h - where JSON values begin and end, found without parsing them. */
#ifndef KJ_CODEC_JSON_SCAN_H
#define KJ_CODEC_JSON_SCAN_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__json_span {
    size_t start, end;
    bool has_long_number; /* one with so many digits that it may not fit 64 bits */
};

/* Finds the first value in one pass, looking at quotes and brackets only: what lies between
 * may still be no JSON. KJ_EPARSE with the text "EOF" when it does not end, KJ_ELIMIT when it
 * nests deeper than KJ__NESTING_MAX. */
enum kj_status kj__json_scan(const uint8_t *bytes, size_t len, struct kj__json_span *span,
                             struct kj_error *error);

/* Finds a member's value in the text of a valid object. `name` needs no escapes; a key that
 * is written with some is not found. */
bool kj__json_find_member(const uint8_t *bytes, size_t len, const char *name,
                          struct kj__json_span *value);

#endif
