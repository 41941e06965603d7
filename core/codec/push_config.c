/* push_config.c - see kujata/push_config.h.
 *
 * A frame is read into a JSON value first: it is small, bounded by the session's message
 * limit, and replaced seldom, while `wants` is asked for every event.
 */
#include "codec/push_config.h"

#include "base/buffer.h"
#include "base/fields.h"
#include "base/map.h"
#include "base/utf8.h"
#include "codec/encoding.h"

#include <stdlib.h>
#include <string.h>

enum {
    IDENTITIES_MAX = 1024,
    TYPES_MAX = 64, /* of one identity */
    PARAMETERS_MAX = 128,
    FILTER_TEXT_MAX = 4096,
};

/* What was asked for of one identity. */
struct wanted {
    char *filter;      /* malloc'd, or NULL */
    size_t type_count; /* 0 means every type */
    char types[];      /* each with its terminator, one after the other */
};

struct kj_push_config {
    struct kj__map identities; /* of struct wanted */
    struct kj__fields parameters;
    size_t parameter_count;
};

static void wanted_free(void *value)
{
    struct wanted *wanted = value;
    if (wanted) {
        free(wanted->filter);
        free(wanted);
    }
}

static struct kj_push_config *config_new(void)
{
    struct kj_push_config *config = calloc(1, sizeof *config);
    if (config) {
        kj__map_init(&config->identities);
        kj__fields_init(&config->parameters, false);
    }
    return config;
}

void kj_push_config_free(struct kj_push_config *config)
{
    if (config) {
        kj__fields_fini(&config->parameters);
        kj__map_fini(&config->identities, wanted_free);
        free(config);
    }
}

bool kj_push_config_wants(const struct kj_push_config *config, const char *identity,
                          const char *type)
{
    if (!config || config->identities.count == 0) {
        return true;
    }
    const struct wanted *wanted = kj__map_get(&config->identities, identity);
    if (!wanted || wanted->type_count == 0) {
        return wanted != NULL;
    }
    const char *candidate = wanted->types;
    for (size_t i = 0; i < wanted->type_count; i++) {
        if (strcmp(candidate, type) == 0) {
            return true;
        }
        candidate += strlen(candidate) + 1;
    }
    return false;
}

const char *kj_push_config_filter(const struct kj_push_config *config, const char *identity)
{
    const struct wanted *wanted = config ? kj__map_get(&config->identities, identity) : NULL;
    return wanted ? wanted->filter : NULL;
}

size_t kj__push_config_count(const struct kj_push_config *config)
{
    return config->identities.count;
}

bool kj__push_config_next(const struct kj_push_config *config, const void **cursor,
                          struct kj__push_config_entry *entry)
{
    const struct kj__map_entry *next = kj__map_next(&config->identities, *cursor);
    if (next) {
        const struct wanted *wanted = next->value;
        *entry = (struct kj__push_config_entry){.identity = next->key,
                                                .filter = wanted->filter,
                                                .type_count = wanted->type_count,
                                                .types = wanted->types};
    }
    *cursor = next;
    return next != NULL;
}

void kj__push_config_drop_parameters(struct kj_push_config *config)
{
    kj__fields_fini(&config->parameters);
    config->parameter_count = 0;
}

void kj_push_config_parameters(const struct kj_push_config *config,
                               void (*visit)(const char *name, const char *value, void *ctx),
                               void *ctx)
{
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (config && kj__fields_next(&config->parameters, &cursor, &name, &value)) {
        visit(name, value, ctx);
    }
}

/* The frame being read, for texts of errors. */
struct frame {
    enum kj_encoding encoding;
    struct kj_error *error;
};

static enum kj_status fail_shape(const struct frame *frame, const char *reason)
{
    kj_error_set(frame->error, 0,
                 "could not decode message into *elemental.PushConfig: unable to decode %s: %s "
                 "decode error [pos 1]: %s",
                 kj_encoding_name(frame->encoding),
                 frame->encoding == KJ_ENCODING_JSON ? "json" : "msgpack", reason);
    return KJ_EPARSE;
}

static enum kj_status fail_limit(const struct frame *frame, const char *what, int limit)
{
    kj_error_set(frame->error, 0, "push config: more than %d %s", limit, what);
    return KJ_ELIMIT;
}

/* The value as a C string, or NULL when it is not a string or holds NUL. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* Whether the value is a list of strings; *size gets the room they take. */
static bool is_text_list(const json_t *list, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = text_of(json_array_get(list, i));
        if (!text) {
            return false;
        }
        *size += strlen(text) + 1;
    }
    return json_is_array(list) || json_is_null(list);
}

static enum kj_status add_identity(struct kj_push_config *config, const char *name,
                                   const json_t *types, const struct frame *frame)
{
    size_t size;
    size_t count = json_array_size(types);
    if (!is_text_list(types, &size)) {
        return fail_shape(frame, "only a list of strings can be decoded into event types");
    }
    if (count > TYPES_MAX) {
        return fail_limit(frame, "event types for one identity", TYPES_MAX);
    }
    struct wanted *wanted = malloc(sizeof *wanted + size);
    if (!wanted) {
        return KJ_ENOMEM;
    }
    wanted->filter = NULL;
    wanted->type_count = count;
    char *room = wanted->types;
    for (size_t i = 0; i < count; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        size_t type_size = strlen(type) + 1;
        memcpy(room, type, type_size);
        room += type_size;
    }
    void *previous;
    if (!kj__map_put(&config->identities, name, wanted, &previous)) {
        wanted_free(wanted);
        return KJ_ENOMEM;
    }
    wanted_free(previous);
    return KJ_OK;
}

static enum kj_status add_filter(struct kj_push_config *config, const char *name,
                                 const json_t *value, const struct frame *frame)
{
    struct wanted *wanted = kj__map_get(&config->identities, name);
    const char *text = text_of(value);
    if (!text) {
        return fail_shape(frame, "only a string can be decoded into a filter");
    }
    if (!wanted) {
        kj_error_set(frame->error, 0,
                     "unable to parse identity filters: elemental: cannot declare an identity "
                     "filter on \"%s\" as that was not declared in 'Identities'",
                     name);
        return KJ_EINVAL;
    }
    if (strlen(text) > FILTER_TEXT_MAX) {
        return fail_limit(frame, "bytes in a filter", FILTER_TEXT_MAX);
    }
    wanted->filter = strdup(text);
    return wanted->filter ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status add_parameter(struct kj_push_config *config, const char *name,
                                    const json_t *values, const struct frame *frame)
{
    size_t size;
    size_t count = json_array_size(values);
    if (!is_text_list(values, &size)) {
        return fail_shape(frame, "only a list of strings can be decoded into a parameter");
    }
    config->parameter_count += count;
    if (config->parameter_count > PARAMETERS_MAX) {
        return fail_limit(frame, "parameters", PARAMETERS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const char *value = json_string_value(json_array_get(values, i));
        if (!kj__fields_add(&config->parameters, name, value)) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

/* The members of a push config in the order of their declaration in elemental, which a frame
 * that is an array follows. Identities come first also because filters refer to them. */
static const struct part {
    const char *name;
    enum kj_status (*add)(struct kj_push_config *config, const char *name, const json_t *value,
                          const struct frame *frame);
} parts[] = {
    {"identities", add_identity},
    {"filters", add_filter},
    {"parameters", add_parameter},
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

static enum kj_status read_part(struct kj_push_config *config, const struct part *part, json_t *map,
                                const struct frame *frame)
{
    if (!map || json_is_null(map)) {
        return KJ_OK;
    }
    if (!json_is_object(map)) {
        return fail_shape(frame, "only a map can be decoded into identities, filters or "
                                 "parameters");
    }
    if (json_object_size(map) > IDENTITIES_MAX) {
        return fail_limit(frame, part->name, IDENTITIES_MAX);
    }
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        enum kj_status status = part->add(config, name, value, frame);
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

static enum kj_status read_config(struct kj_push_config *config, const json_t *root,
                                  const struct frame *frame)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < PART_COUNT && !status; i++) {
        json_t *map = json_is_array(root) ? json_array_get(root, i)
                                          : json_object_get(root, parts[i].name);
        status = read_part(config, &parts[i], map, frame);
    }
    return status;
}

/* Whether the first byte announces a map, an array or null: bahamut looks no further before
 * it refuses a frame for its type. An empty frame is left to the decoder. */
static bool may_be_config(const uint8_t *bytes, size_t len, enum kj_encoding encoding)
{
    if (encoding == KJ_ENCODING_MSGPACK) {
        return len == 0 || (bytes[0] >= 0x80 && bytes[0] < 0xa0) ||
               (bytes[0] >= 0xdc && bytes[0] < 0xe0) || bytes[0] == 0xc0;
    }
    size_t at = 0;
    while (at < len && strchr(" \t\r\n", bytes[at]) && bytes[at]) {
        at++;
    }
    return at == len || bytes[at] == '{' || bytes[at] == '[' || bytes[at] == 'n';
}

static enum kj_status read_frame(const uint8_t *bytes, size_t len, const struct frame *frame,
                                 json_t **root)
{
    static const char wrong_type[] = "only encoded map or array can decode into struct";
    if (!may_be_config(bytes, len, frame->encoding)) {
        return fail_shape(frame, wrong_type);
    }
    struct kj_error reason;
    enum kj_status status = kj__value_decode(frame->encoding, bytes, len, root, &reason);
    if (status) {
        kj_error_set(frame->error, reason.position,
                     "could not decode message into *elemental.PushConfig: %s", reason.text);
    }
    return status;
}

enum kj_status kj_push_config_decode(const uint8_t *bytes, size_t len, enum kj_encoding encoding,
                                     struct kj_push_config **config, struct kj_error *error)
{
    *config = NULL;
    const struct frame frame = {encoding, error};
    json_t *root = NULL;
    enum kj_status status = read_frame(bytes, len, &frame, &root);
    if (status) {
        return status;
    }
    struct kj_push_config *made = config_new();
    status = made ? read_config(made, root, &frame) : KJ_ENOMEM;
    json_decref(root);
    if (status) {
        kj_push_config_free(made);
        return status;
    }
    *config = made;
    return KJ_OK;
}

/* The list of types in "name:type,type", or null when it names none. */
static json_t *types_from_entry(const char *colon)
{
    json_t *types = colon ? json_array() : json_null();
    for (const char *at = colon; at && types;) {
        at++;
        size_t len = strcspn(at, ",");
        if (json_array_append_new(types, json_stringn(at, len))) {
            json_decref(types);
            return NULL;
        }
        at = at[len] ? at + len : NULL;
    }
    return types;
}

/* Whether "type,type" has a place where no type stands. */
static bool has_empty_type(const char *types)
{
    return types[0] == '\0' || types[0] == ',' || strstr(types, ",,") ||
           types[strlen(types) - 1] == ',';
}

static enum kj_status identities_from_entries(const char *const *entries, json_t *identities)
{
    for (; entries && *entries; entries++) {
        const char *colon = strchr(*entries, ':');
        size_t len = colon ? (size_t)(colon - *entries) : strlen(*entries);
        if (len == 0 || (colon && has_empty_type(colon + 1)) ||
            !kj__utf8_is_valid((const uint8_t *)*entries, strlen(*entries))) {
            return KJ_EINVAL;
        }
        if (json_object_setn_new(identities, *entries, len, types_from_entry(colon))) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

enum kj_status kj_push_config_encode(const char *const *identities, enum kj_encoding encoding,
                                     uint8_t **bytes, size_t *len)
{
    *bytes = NULL;
    *len = 0;
    json_t *map = json_object();
    enum kj_status status = map ? identities_from_entries(identities, map) : KJ_ENOMEM;
    json_t *root = json_pack("{s:{}, s:o, s:n}", "filters", "identities", map, "parameters");
    struct kj__buffer out;
    kj__buffer_init(&out);
    if (!status) {
        status = root ? kj__value_encode(encoding, root, NULL, &out) : KJ_ENOMEM;
    }
    json_decref(root);
    if (status) {
        kj__buffer_fini(&out);
        return status;
    }
    *bytes = kj__buffer_take(&out, len);
    return *bytes ? KJ_OK : KJ_ENOMEM;
}
