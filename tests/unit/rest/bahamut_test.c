/* bahamut_test.c - the answers of the real bahamut, byte for byte. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/bahamut_exchanges.h"
#include "unit/rest/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_LEN = 24, UUID_LEN = 36 };

/* IDs in the order bahamut made them, each with ours once there is one. */
static struct {
    const char *recorded;
    char made[KJ_OBJECT_ID_SIZE];
} ids[] = {
    {"6b00f3ef0b6a0333ffd05a45", ""}, {"6b00f3ef0b6a0333ffd05a46", ""},
    {"6b00f3ef0b6a0333ffd05a47", ""}, {"6b00f3ef0b6a0333ffd05a48", ""},
    {"6b00f3f10b6a0333ffd05a49", ""}, {"6b00f3f80b6a0333ffd05a56", ""},
    {"6b00f3f90b6a0333ffd05a57", ""},
};

/* Replaces every occurrence; both are as long. */
static void replace(void *bytes, size_t len, const char *from, const char *to)
{
    for (char *at = bytes; (at = memmem(at, len - (size_t)(at - (char *)bytes), from, ID_LEN));) {
        memcpy(at, to, ID_LEN);
    }
}

static void learn_id(const struct fixture *fixture)
{
    static const char key_json[] = "\"ID\":\"";
    static const char key_msgpack[] = "\xa2ID\xb8";
    const struct kj__buffer *body = &fixture->body;
    const char *key = memmem(body->data, body->len, key_json, strlen(key_json));
    size_t skip = strlen(key_json);
    if (!key) {
        key = memmem(body->data, body->len, key_msgpack, strlen(key_msgpack));
        skip = strlen(key_msgpack);
    }
    assert_non_null(key);
    size_t next = 0;
    while (ids[next].made[0]) {
        next++;
    }
    memcpy(ids[next].made, key + skip, ID_LEN);
}

static void send_recorded(struct fixture *fixture, const struct exchange *exchange)
{
    char *target = strdup(exchange->target);
    for (size_t i = 0; i < sizeof ids / sizeof *ids && ids[i].made[0]; i++) {
        replace(target, strlen(target), ids[i].recorded, ids[i].made);
    }
    fixture_send_bytes(fixture, exchange->method, target, exchange->headers, exchange->body,
                       exchange->body_len);
    free(target);
}

/* Puts bahamut's "unknown" where our trace is, whatever the encoding. */
static void forget_trace(struct kj__buffer *body)
{
    static const struct {
        const char *before, *after;
    } forms[] = {{"\"trace\":\"", "\"trace\":\"unknown"}, {"trace\xd9\x24", "trace\xa7unknown"}};
    for (size_t i = 0; i < 2; i++) {
        size_t before = strlen(forms[i].before);
        size_t after = strlen(forms[i].after);
        uint8_t *at = memmem(body->data, body->len, forms[i].before, before);
        while (at) {
            uint8_t *rest = at + before + UUID_LEN;
            size_t left = body->len - (size_t)(rest - body->data);
            memcpy(at, forms[i].after, after);
            memmove(at + after, rest, left + 1);
            body->len -= before + UUID_LEN - after;
            at = memmem(at + after, left, forms[i].before, before);
        }
    }
}

static void compare(struct fixture *fixture, const struct exchange *exchange)
{
    struct kj__buffer *body = &fixture->body;
    forget_trace(body);
    for (size_t i = 0; i < sizeof ids / sizeof *ids && ids[i].made[0]; i++) {
        replace(body->data, body->len, ids[i].made, ids[i].recorded);
        replace(fixture->headers, strlen(fixture->headers), ids[i].made, ids[i].recorded);
    }
    if (fixture->response.status != exchange->status) {
        fail_msg("%s: %d, not %d: %s", exchange->fact, fixture->response.status, exchange->status,
                 fixture_text(fixture));
    }
    if (strcmp(fixture->headers, exchange->answer_headers) != 0) {
        fail_msg("%s:\n%s, not\n%s", exchange->fact, fixture->headers, exchange->answer_headers);
    }
    if (strcmp(exchange->method, "HEAD") == 0) {
        return; /* a body is made for its length and not sent */
    }
    if (body->len != exchange->answer_len ||
        memcmp(body->data, exchange->answer, exchange->answer_len) != 0) {
        fail_msg("%s:\n%s, not\n%s", exchange->fact, fixture_text(fixture), exchange->answer);
    }
}

static void rest_answers_as_bahamut_did(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_serve_store(&fixture);

    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
        send_recorded(&fixture, &exchanges[i]);
        if (strcmp(exchanges[i].method, "POST") == 0 && fixture.response.status == 200) {
            learn_id(&fixture);
        }
        compare(&fixture, &exchanges[i]);
    }

    fixture_fini(&fixture);
}

static void head_of_a_refused_operation_has_the_length_of_its_error(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);

    fixture_send(&fixture, "HEAD", "/v/1/tasks", "");

    forget_trace(&fixture.body);
    assert_int_equal(fixture.body.len, 126);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_answers_as_bahamut_did),
        cmocka_unit_test(head_of_a_refused_operation_has_the_length_of_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
