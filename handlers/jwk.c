/* jwk.c - see jwk.h (RFC 7517, RFC 7518 section 6). */
#include "handlers/jwk.h"

#include "handlers/jwt_text.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

enum { COORDINATE_MAX = 66, UNCOMPRESSED = 4 };

static bool is_text(const json_t *jwk, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(jwk, name));
    return text && strcmp(text, wanted) == 0;
}

static bool is_text_or_absent(const json_t *jwk, const char *name, const char *wanted)
{
    return !json_object_get(jwk, name) || is_text(jwk, name, wanted);
}

static bool may_verify(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops");
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        if (operation && strcmp(operation, "verify") == 0) {
            return true;
        }
    }
    return !operations;
}

bool kj__jwk_is_for(const json_t *jwk, const struct kj__jwt_algorithm *algorithm)
{
    static const char *const types[] = {
        [KJ__JWT_SECRET] = "oct", [KJ__JWT_RSA] = "RSA", [KJ__JWT_EC] = "EC"};
    return is_text(jwk, "kty", types[algorithm->family]) && is_text_or_absent(jwk, "use", "sig") &&
           is_text_or_absent(jwk, "alg", algorithm->name) && may_verify(jwk) &&
           (algorithm->family != KJ__JWT_EC || is_text(jwk, "crv", algorithm->curve));
}

static enum kj_status read_bytes(const json_t *jwk, const char *name, unsigned char **bytes,
                                 size_t *len)
{
    const json_t *member = json_object_get(jwk, name);
    *bytes = NULL;
    return json_is_string(member) ? kj__base64url_decode(json_string_value(member),
                                                         json_string_length(member), bytes, len)
                                  : KJ_EPARSE;
}

enum kj_status kj__jwk_secret(const json_t *jwk, unsigned char **bytes, size_t *len)
{
    return read_bytes(jwk, "k", bytes, len);
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!parameters || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(parameters);
    return pkey;
}

static BIGNUM *read_number(const json_t *jwk, const char *name)
{
    unsigned char *bytes;
    size_t len;
    if (read_bytes(jwk, name, &bytes, &len)) {
        return NULL;
    }
    BIGNUM *number = BN_bin2bn(bytes, (int)len, NULL);
    free(bytes);
    return number;
}

static EVP_PKEY *make_rsa(const json_t *jwk, OSSL_PARAM_BLD *builder)
{
    BIGNUM *modulus = read_number(jwk, "n");
    BIGNUM *exponent = read_number(jwk, "e");
    EVP_PKEY *pkey = NULL;
    if (modulus && exponent && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent)) {
        pkey = make_key("RSA", builder);
    }
    BN_free(exponent);
    BN_free(modulus);
    return pkey;
}

static EVP_PKEY *make_ec(const json_t *jwk, const char *group, OSSL_PARAM_BLD *builder)
{
    unsigned char point[1 + 2 * COORDINATE_MAX] = {UNCOMPRESSED};
    unsigned char *x = NULL;
    unsigned char *y = NULL;
    size_t x_len = 0;
    size_t y_len = 0;
    EVP_PKEY *pkey = NULL;
    if (!read_bytes(jwk, "x", &x, &x_len) && !read_bytes(jwk, "y", &y, &y_len) && x_len == y_len &&
        x_len <= COORDINATE_MAX) {
        memcpy(point + 1, x, x_len);
        memcpy(point + 1 + x_len, y, y_len);
        if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                             1 + 2 * x_len)) {
            pkey = make_key("EC", builder);
        }
    }
    free(y);
    free(x);
    return pkey;
}

EVP_PKEY *kj__jwk_public(const json_t *jwk, const struct kj__jwt_algorithm *algorithm)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (!builder) {
        return NULL;
    }
    EVP_PKEY *pkey = algorithm->family == KJ__JWT_RSA ? make_rsa(jwk, builder)
                                                      : make_ec(jwk, algorithm->group, builder);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}
