/* jwk.h - one JSON Web Key as OpenSSL knows keys. */
#ifndef KJ_HANDLERS_JWK_H
#define KJ_HANDLERS_JWK_H

#include "handlers/jwt_keys.h"

#include <jansson.h>
#include <openssl/types.h>
#include <stdbool.h>

/* Whether the key is meant for checking signatures of this algorithm. */
bool kj__jwk_is_for(const json_t *jwk, const struct kj__jwt_algorithm *algorithm);

/* The secret of an "oct" key; *bytes is malloc'd. */
enum kj_status kj__jwk_secret(const json_t *jwk, unsigned char **bytes, size_t *len);

/* The public key of an "RSA" or "EC" key, which the caller owns; NULL when it is none. */
EVP_PKEY *kj__jwk_public(const json_t *jwk, const struct kj__jwt_algorithm *algorithm);

#endif
