/* jwt_text.h - what stands in a JSON Web Token, before anything of it is believed. */
#ifndef KJ_HANDLERS_JWT_TEXT_H
#define KJ_HANDLERS_JWT_TEXT_H

#include <jansson.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    KJ__JWT_DEPTH_MAX = 16, /* of its JSON; parsers take a stack frame for each */
    KJ__JWT_CLAIMS_MAX = 128,
};

/* Both objects, and references to be released. */
struct kj__jwt_parts {
    json_t *header, *payload;
};

/* Takes a token of `len` bytes apart: three parts of unpadded base64url, the first two JSON
 * objects without duplicate names. KJ_EPARSE, KJ_ELIMIT or KJ_ENOMEM, with *parts zero. */
enum kj_status kj__jwt_split(const char *token, size_t len, struct kj__jwt_parts *parts);

void kj__jwt_parts_fini(struct kj__jwt_parts *parts);

/* Decodes unpadded base64url in its one right form. *bytes is malloc'd, never NULL on success. */
enum kj_status kj__base64url_decode(const char *text, size_t len, unsigned char **bytes,
                                    size_t *decoded_len);

/* A payload's members as claims; see kujata/auth.h. */
struct kj__jwt_claims {
    char *items[KJ__JWT_CLAIMS_MAX]; /* each malloc'd */
    size_t count;
};

/* KJ_ELIMIT or KJ_ENOMEM; kj__jwt_claims_fini is due in any case. */
enum kj_status kj__jwt_claims_make(const json_t *payload, struct kj__jwt_claims *claims);
void kj__jwt_claims_fini(struct kj__jwt_claims *claims);

#endif
