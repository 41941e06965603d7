/* jwt_text.c - see jwt_text.h. */
#include "handlers/jwt_text.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- base64url ---- */

static int value_of(char digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == '-' ? 62 : digit == '_' ? 63 : -1;
}

enum kj_status kj__base64url_decode(const char *text, size_t len, unsigned char **bytes,
                                    size_t *decoded_len)
{
    *bytes = NULL;
    if (len % 4 == 1) {
        return KJ_EPARSE;
    }
    unsigned char *out = malloc(len / 4 * 3 + 3);
    if (!out) {
        return KJ_ENOMEM;
    }
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            free(out);
            return KJ_EPARSE;
        }
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[count++] = (unsigned char)(bits >> bit_count);
            bits &= (1U << bit_count) - 1;
        }
    }
    if (bits) { /* another text would decode to the same */
        free(out);
        return KJ_EPARSE;
    }
    *bytes = out;
    *decoded_len = count;
    return KJ_OK;
}

/* ---- parts ---- */

/* Brackets outside of strings; that they match is the parser's to see. */
static bool is_too_deep(const unsigned char *json, size_t len)
{
    size_t depth = 0;
    bool is_in_string = false;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = json[i];
        if (is_in_string) {
            i += byte == '\\';
            is_in_string = byte != '"';
        } else if (byte == '"') {
            is_in_string = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > KJ__JWT_DEPTH_MAX) {
                return true;
            }
        } else if ((byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static enum kj_status read_part(const char *text, size_t len, json_t **part)
{
    unsigned char *bytes;
    size_t decoded_len;
    enum kj_status status = kj__base64url_decode(text, len, &bytes, &decoded_len);
    if (status) {
        return status;
    }
    if (is_too_deep(bytes, decoded_len)) {
        status = KJ_ELIMIT;
    } else {
        *part = json_loadb((const char *)bytes, decoded_len, JSON_REJECT_DUPLICATES, NULL);
        status = json_is_object(*part) ? KJ_OK : KJ_EPARSE;
    }
    free(bytes);
    return status;
}

enum kj_status kj__jwt_split(const char *token, size_t len, struct kj__jwt_parts *parts)
{
    *parts = (struct kj__jwt_parts){NULL, NULL};
    const char *first = memchr(token, '.', len);
    const char *second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - token)) : NULL;
    if (!second) {
        return KJ_EPARSE;
    }
    size_t signature_len = len - (size_t)(second + 1 - token);
    unsigned char *signature;
    size_t decoded_len;
    enum kj_status status = kj__base64url_decode(second + 1, signature_len, &signature,
                                                 &decoded_len);
    if (!status) {
        free(signature);
        status = read_part(token, (size_t)(first - token), &parts->header);
    }
    if (!status) {
        status = read_part(first + 1, (size_t)(second - first - 1), &parts->payload);
    }
    if (status) {
        kj__jwt_parts_fini(parts);
    }
    return status;
}

void kj__jwt_parts_fini(struct kj__jwt_parts *parts)
{
    json_decref(parts->header);
    json_decref(parts->payload);
    *parts = (struct kj__jwt_parts){NULL, NULL};
}

/* ---- claims ---- */

static enum kj_status add_claim(struct kj__jwt_claims *claims, const char *key, const char *value)
{
    size_t key_len = strlen(key);
    if (key_len == 0 || !*value) {
        return KJ_OK;
    }
    if (claims->count == KJ__JWT_CLAIMS_MAX) {
        return KJ_ELIMIT;
    }
    size_t size = key_len + 1 + strlen(value) + 1;
    char *claim = malloc(size);
    if (!claim) {
        return KJ_ENOMEM;
    }
    (void)snprintf(claim, size, "%s=%s", key, value);
    claims->items[claims->count++] = claim;
    return KJ_OK;
}

static enum kj_status add_scalar(struct kj__jwt_claims *claims, const char *key,
                                 const json_t *value)
{
    char text[32];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return add_claim(claims, key, json_string_value(value));
    case JSON_INTEGER:
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add_claim(claims, key, text);
    case JSON_REAL:
        (void)snprintf(text, sizeof text, "%.17g", json_real_value(value));
        return add_claim(claims, key, text);
    case JSON_TRUE:
        return add_claim(claims, key, "true");
    case JSON_FALSE:
        return add_claim(claims, key, "false");
    default:
        return KJ_OK;
    }
}

/* These tell one token from the next, not who shows it: a caller stays the same with a new one. */
static bool is_of_token(const char *key)
{
    static const char *const names[] = {"exp", "iat", "jti", "nbf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(key, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum kj_status kj__jwt_claims_make(const json_t *payload, struct kj__jwt_claims *claims)
{
    claims->count = 0;
    const char *key;
    json_t *value;
    enum kj_status status = KJ_OK;
    json_object_foreach((json_t *)payload, key, value)
    {
        if (strchr(key, '=') || is_of_token(key)) {
            continue; /* the first would read as another claim */
        }
        if (!json_is_array(value)) {
            status = add_scalar(claims, key, value);
        }
        for (size_t i = 0; !status && i < json_array_size(value); i++) {
            status = add_scalar(claims, key, json_array_get(value, i));
        }
        if (status) {
            break;
        }
    }
    return status;
}

void kj__jwt_claims_fini(struct kj__jwt_claims *claims)
{
    while (claims->count > 0) {
        free(claims->items[--claims->count]);
    }
}
