/* error_array.c - see error_array.h. */
#include "codec/error_array.h"

#include "codec/json.h"
#include "codec/msgpack.h"

#include <string.h>

/* The members of an element in the order of their keys. */
struct element {
    int64_t code;
    const json_t *data; /* NULL for none */
    const char *texts[4];
};

static const char *const text_keys[4] = {"description", "subject", "title", "trace"};
enum { TRACE = 3 };

static struct element element_from_error(const struct kj_api_error *error, const char *trace)
{
    return (struct element){
        .code = error->code,
        .data = error->data,
        .texts = {error->description ? error->description : "",
                  error->subject ? error->subject : "kujata", error->title ? error->title : "",
                  trace ? trace : ""},
    };
}

static struct element element_from_value(const json_t *value)
{
    struct element element = {.code = json_integer_value(json_object_get(value, "code")),
                              .data = json_object_get(value, "data")};
    for (int i = 0; i < 4; i++) {
        const char *text = json_string_value(json_object_get(value, text_keys[i]));
        element.texts[i] = text ? text : "";
    }
    return element;
}

static bool add_texts(json_t *object, const struct element *element)
{
    for (int i = 0; i < 4; i++) {
        json_t *text = kj__json_text(element->texts[i], strlen(element->texts[i]));
        if (json_object_set_new(object, text_keys[i], text)) {
            return false;
        }
    }
    return true;
}

enum kj_status kj__error_array_add(json_t *array, const struct kj_api_error *error,
                                   const char *trace)
{
    struct element element = element_from_error(error, trace);
    json_t *object = json_object();
    if (json_object_set_new(object, "code", json_integer(element.code)) ||
        json_object_set_new(object, "data",
                            element.data ? json_deep_copy(element.data) : json_null()) ||
        !add_texts(object, &element)) {
        json_decref(object);
        return KJ_ENOMEM;
    }
    return json_array_append_new(array, object) ? KJ_ENOMEM : KJ_OK;
}

int kj__error_array_status(const json_t *array)
{
    json_int_t code = json_integer_value(json_object_get(json_array_get(array, 0), "code"));
    return code > 0 && code <= 999 ? (int)code : 500;
}

static void put_key(const char *key, bool *is_first, struct kj__buffer *out)
{
    kj__buffer_append_byte(out, *is_first ? '{' : ',');
    kj__json_encode_string(key, strlen(key), out);
    kj__buffer_append_byte(out, ':');
    *is_first = false;
}

static enum kj_status encode_json(const struct element *element, struct kj__buffer *out)
{
    bool is_first = true;
    if (element->code) {
        put_key("code", &is_first, out);
        kj__json_encode_int(element->code, out);
    }
    if (element->data && !json_is_null(element->data)) {
        put_key("data", &is_first, out);
        enum kj_status status = kj__json_encode(element->data, out);
        if (status) {
            return status;
        }
    }
    for (int i = 0; i < 4; i++) {
        if (i != TRACE || element->texts[i][0]) {
            put_key(text_keys[i], &is_first, out);
            kj__json_encode_string(element->texts[i], strlen(element->texts[i]), out);
        }
    }
    kj__buffer_append_byte(out, '}');
    return KJ_OK;
}

static enum kj_status encode_msgpack(const struct element *element, struct kj__buffer *out)
{
    kj__msgpack_put_map(out, 6);
    kj__msgpack_put_text(out, "code", 4);
    kj__msgpack_put_int(out, element->code);
    kj__msgpack_put_text(out, "data", 4);
    if (element->data) {
        enum kj_status status = kj__msgpack_encode(element->data, NULL, out);
        if (status) {
            return status;
        }
    } else {
        kj__msgpack_put_nil(out);
    }
    for (int i = 0; i < 4; i++) {
        kj__msgpack_put_text(out, text_keys[i], strlen(text_keys[i]));
        kj__msgpack_put_text(out, element->texts[i], strlen(element->texts[i]));
    }
    return KJ_OK;
}

static enum kj_status encode_element(const struct element *element, enum kj_encoding encoding,
                                     struct kj__buffer *out)
{
    return encoding == KJ_ENCODING_JSON ? encode_json(element, out) : encode_msgpack(element, out);
}

static enum kj_status encode_elements(const json_t *array, enum kj_encoding encoding,
                                      struct kj__buffer *out)
{
    size_t count = json_array_size(array);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && encoding == KJ_ENCODING_JSON) {
            kj__buffer_append_byte(out, ',');
        }
        struct element element = element_from_value(json_array_get(array, i));
        enum kj_status status = encode_element(&element, encoding, out);
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

/* Takes back what a failed call has appended. */
static enum kj_status finish(enum kj_status status, size_t before, struct kj__buffer *out)
{
    if (!status && out->failed) {
        status = KJ_ENOMEM;
    }
    if (status) {
        out->len = before;
    }
    return status;
}

enum kj_status kj__error_array_encode(const json_t *array, enum kj_encoding encoding,
                                      struct kj__buffer *out)
{
    size_t before = out->len;
    if (encoding == KJ_ENCODING_JSON) {
        kj__buffer_append_byte(out, '[');
    } else {
        kj__msgpack_put_array(out, json_array_size(array));
    }
    enum kj_status status = encode_elements(array, encoding, out);
    if (encoding == KJ_ENCODING_JSON) {
        kj__buffer_append_byte(out, ']');
    }
    return finish(status, before, out);
}

enum kj_status kj__error_encode(const struct kj_api_error *error, enum kj_encoding encoding,
                                struct kj__buffer *out)
{
    size_t before = out->len;
    struct element element = element_from_error(error, NULL);
    return finish(encode_element(&element, encoding, out), before, out);
}
