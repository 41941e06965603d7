/* jwt_keys.h - the keys tokens are checked with, read from a file. */
#ifndef KJ_HANDLERS_JWT_KEYS_H
#define KJ_HANDLERS_JWT_KEYS_H

#include <jwt.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>

enum kj__jwt_family { KJ__JWT_SECRET, KJ__JWT_RSA, KJ__JWT_EC };

struct kj__jwt_algorithm {
    const char *name; /* as tokens write it */
    jwt_alg_t id;
    enum kj__jwt_family family;
    const char *group, *curve; /* of EC: OpenSSL's name and the JWK's */
};

/* NULL for a name that is none, "none" included. */
const struct kj__jwt_algorithm *kj__jwt_algorithm_find(const char *name);

struct kj__jwt_key {
    char *kid;            /* NULL: it has none */
    unsigned char *bytes; /* the secret, or a public key in PEM */
    size_t len;
};

struct kj__jwt_keys {
    struct kj__jwt_key *items;
    size_t count;
    bool is_set; /* of a JWKS: chosen by kid */
};

/* Reads what is for this algorithm from a file with one key, or from a key set. */
enum kj_status kj__jwt_keys_read_one(struct kj__jwt_keys *keys,
                                     const struct kj__jwt_algorithm *algorithm, const char *file,
                                     struct kj_error *error);
enum kj_status kj__jwt_keys_read_set(struct kj__jwt_keys *keys,
                                     const struct kj__jwt_algorithm *algorithm, const char *file,
                                     struct kj_error *error);

/* The key a token names, or the only one; else NULL. `kid` may be NULL. */
const struct kj__jwt_key *kj__jwt_keys_find(const struct kj__jwt_keys *keys, const char *kid);

void kj__jwt_keys_fini(struct kj__jwt_keys *keys);

#endif
