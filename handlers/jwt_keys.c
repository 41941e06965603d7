/* jwt_keys.c - see jwt_keys.h. A key is checked here once, against the one algorithm it is for, so
 * that a public key can never serve as a secret.
 */
#include "handlers/jwt_keys.h"

#include "handlers/file.h"
#include "handlers/jwk.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 1024 * 1024,
    KEYS_MAX = 256,
    SECRET_MIN = 32,
    RSA_BITS_MIN = 2048,
    GROUP_SIZE = 64
};

static const struct kj__jwt_algorithm algorithms[] = {
    {"HS256", JWT_ALG_HS256, KJ__JWT_SECRET, NULL, NULL},
    {"HS384", JWT_ALG_HS384, KJ__JWT_SECRET, NULL, NULL},
    {"HS512", JWT_ALG_HS512, KJ__JWT_SECRET, NULL, NULL},
    {"RS256", JWT_ALG_RS256, KJ__JWT_RSA, NULL, NULL},
    {"RS384", JWT_ALG_RS384, KJ__JWT_RSA, NULL, NULL},
    {"RS512", JWT_ALG_RS512, KJ__JWT_RSA, NULL, NULL},
    {"ES256", JWT_ALG_ES256, KJ__JWT_EC, "prime256v1", "P-256"},
    {"ES384", JWT_ALG_ES384, KJ__JWT_EC, "secp384r1", "P-384"},
    {"ES512", JWT_ALG_ES512, KJ__JWT_EC, "secp521r1", "P-521"},
};

const struct kj__jwt_algorithm *kj__jwt_algorithm_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof algorithms / sizeof *algorithms; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

/* ---- one key ---- */

/* Why a public key is not for the algorithm; NULL: it is. */
static const char *find_fault(const EVP_PKEY *pkey, const struct kj__jwt_algorithm *algorithm)
{
    char group[GROUP_SIZE];
    if (algorithm->family == KJ__JWT_RSA) {
        if (!EVP_PKEY_is_a(pkey, "RSA")) {
            return "the algorithm needs an RSA key";
        }
        return EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN ? "an RSA key of less than 2048 bits" : NULL;
    }
    if (!EVP_PKEY_is_a(pkey, "EC") ||
        !EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                        NULL) ||
        strcmp(group, algorithm->group) != 0) {
        return "the algorithm needs an EC key on its own curve";
    }
    return NULL;
}

/* Keeps a public key as PEM, the form libjwt takes. */
static const char *keep_public(struct kj__jwt_key *key, EVP_PKEY *pkey,
                               const struct kj__jwt_algorithm *algorithm)
{
    const char *fault = find_fault(pkey, algorithm);
    if (fault) {
        return fault;
    }
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = bio && PEM_write_bio_PUBKEY(bio, pkey) ? BIO_get_mem_data(bio, &text) : 0;
    key->bytes = len > 0 ? malloc((size_t)len) : NULL;
    if (key->bytes) {
        memcpy(key->bytes, text, (size_t)len);
        key->len = (size_t)len;
    }
    BIO_free(bio);
    return key->bytes ? NULL : "no memory for the key";
}

static const char *keep_secret(struct kj__jwt_key *key, const void *bytes, size_t len)
{
    if (len < SECRET_MIN) {
        return "a secret has at least 32 bytes";
    }
    key->bytes = malloc(len);
    if (!key->bytes) {
        return "no memory for the key";
    }
    memcpy(key->bytes, bytes, len);
    key->len = len;
    return NULL;
}

static int no_passphrase(char *text, int size, int for_writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)for_writing;
    (void)ctx;
    return 0;
}

/* A public key, or that of a certificate. */
static EVP_PKEY *parse_pem(const char *text, size_t len)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (pkey) {
        return pkey;
    }
    bio = BIO_new_mem_buf(text, (int)len);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    pkey = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    BIO_free(bio);
    return pkey;
}

static const char *take_file(struct kj__jwt_key *key, const struct kj__jwt_algorithm *algorithm,
                             const char *text, size_t len)
{
    if (algorithm->family == KJ__JWT_SECRET) {
        if (len > 0 && text[len - 1] == '\n') {
            len--;
        }
        return memmem(text, len, "-----BEGIN ", strlen("-----BEGIN "))
                   ? "the algorithm needs a secret, and this is a PEM file"
                   : keep_secret(key, text, len);
    }
    EVP_PKEY *pkey = parse_pem(text, len);
    const char *fault = pkey ? keep_public(key, pkey, algorithm)
                             : "holds neither a public key nor a certificate in PEM";
    EVP_PKEY_free(pkey);
    return fault;
}

enum kj_status kj__jwt_keys_read_one(struct kj__jwt_keys *keys,
                                     const struct kj__jwt_algorithm *algorithm, const char *file,
                                     struct kj_error *error)
{
    *keys = (struct kj__jwt_keys){.items = calloc(1, sizeof *keys->items), .count = 1};
    char *text = NULL;
    size_t len = 0;
    const char *fault = keys->items ? NULL : "no memory for the key";
    enum kj_status status = fault ? KJ_ENOMEM : kj__file_read(file, FILE_MAX, &text, &len, error);
    if (!status) {
        fault = take_file(&keys->items[0], algorithm, text, len);
        status = fault ? KJ_EPARSE : KJ_OK;
    }
    kj__file_free(text, len);
    if (fault) {
        kj_error_set(error, 0, "%s: %s", file, fault);
    }
    if (status) {
        kj__jwt_keys_fini(keys);
    }
    return status;
}

/* ---- a set ---- */

static const char *take_jwk(struct kj__jwt_key *key, const struct kj__jwt_algorithm *algorithm,
                            const json_t *jwk)
{
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    key->kid = kid ? strdup(kid) : NULL;
    if (kid && !key->kid) {
        return "no memory for the key";
    }
    if (algorithm->family == KJ__JWT_SECRET) {
        unsigned char *bytes;
        size_t len;
        const char *fault = kj__jwk_secret(jwk, &bytes, &len) ? "a key without a good member k"
                                                              : NULL;
        if (!fault) {
            fault = keep_secret(key, bytes, len);
            OPENSSL_cleanse(bytes, len);
            free(bytes);
        }
        return fault;
    }
    EVP_PKEY *pkey = kj__jwk_public(jwk, algorithm);
    const char *fault = pkey ? keep_public(key, pkey, algorithm)
                             : "a key that OpenSSL does not take";
    EVP_PKEY_free(pkey);
    return fault;
}

static bool has_kid(const struct kj__jwt_keys *keys, const json_t *jwk)
{
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    for (size_t i = 0; kid && i < keys->count; i++) {
        if (keys->items[i].kid && strcmp(keys->items[i].kid, kid) == 0) {
            return true;
        }
    }
    return false;
}

static const char *take_set(struct kj__jwt_keys *keys, const struct kj__jwt_algorithm *algorithm,
                            const json_t *set)
{
    const json_t *array = json_object_get(set, "keys");
    size_t count = json_array_size(array);
    if (count == 0 || count > KEYS_MAX) {
        return "is no key set of 1 to 256 keys";
    }
    keys->items = calloc(count, sizeof *keys->items);
    if (!keys->items) {
        return "no memory for the keys";
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *jwk = json_array_get(array, i);
        if (!kj__jwk_is_for(jwk, algorithm)) {
            continue;
        }
        if (has_kid(keys, jwk)) {
            return "a kid is there twice";
        }
        const char *fault = take_jwk(&keys->items[keys->count++], algorithm, jwk);
        if (fault) {
            return fault;
        }
    }
    return keys->count ? NULL : "holds no key for the algorithm";
}

enum kj_status kj__jwt_keys_read_set(struct kj__jwt_keys *keys,
                                     const struct kj__jwt_algorithm *algorithm, const char *file,
                                     struct kj_error *error)
{
    *keys = (struct kj__jwt_keys){.is_set = true};
    char *text;
    size_t len = 0;
    enum kj_status status = kj__file_read(file, FILE_MAX, &text, &len, error);
    if (status) {
        return status;
    }
    json_error_t where;
    json_t *set = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    const char *fault = set ? take_set(keys, algorithm, set) : "is not JSON";
    json_decref(set);
    kj__file_free(text, len);
    if (fault) {
        kj_error_set(error, 0, "%s: %s", file, fault);
        kj__jwt_keys_fini(keys);
        return KJ_EPARSE;
    }
    return KJ_OK;
}

const struct kj__jwt_key *kj__jwt_keys_find(const struct kj__jwt_keys *keys, const char *kid)
{
    if (!keys->is_set || (!kid && keys->count == 1)) {
        return &keys->items[0];
    }
    for (size_t i = 0; kid && i < keys->count; i++) {
        if (keys->items[i].kid && strcmp(keys->items[i].kid, kid) == 0) {
            return &keys->items[i];
        }
    }
    return NULL;
}

void kj__jwt_keys_fini(struct kj__jwt_keys *keys)
{
    for (size_t i = 0; keys->items && i < keys->count; i++) {
        if (keys->items[i].bytes) {
            OPENSSL_cleanse(keys->items[i].bytes, keys->items[i].len);
        }
        free(keys->items[i].bytes);
        free(keys->items[i].kid);
    }
    free(keys->items);
    *keys = (struct kj__jwt_keys){0};
}
