/* filter.c - filters as the rest of the library holds them; see filter.h. */
#include "model/filter_parts.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool is_relative(const struct kj__filter_node *comparison, void *ctx)
{
    (void)ctx;
    bool found = false;
    for (size_t i = 0; i < comparison->constant_count && !found; i++) {
        found = comparison->constants[i].type == KJ__FILTER_NOW;
    }
    return found;
}

static bool add_size(const struct kj__filter_node *comparison, void *ctx)
{
    size_t *size = ctx;
    /* Twice: for the group above, and for an array of constants that is half empty. */
    *size += 2 * sizeof *comparison + comparison->key_len +
             2 * comparison->constant_count * sizeof *comparison->constants;
    for (size_t i = 0; i < comparison->constant_count; i++) {
        const struct kj__filter_constant *constant = &comparison->constants[i];
        *size += constant->len + (constant->pattern ? KJ__REGEX_SIZE_MAX : 0);
    }
    return false;
}

static void free_filter(struct kj_filter *filter)
{
    kj__filter_node_free(filter->root);
    free(filter->key_hashes);
    free(filter->text);
    free(filter);
}

static enum kj_status write_canonical(struct kj_filter *filter)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__filter_node_write(filter->root, &out);
    kj__buffer_append_byte(&out, '\0');
    filter->text = (char *)kj__buffer_take(&out, &filter->len);
    if (!filter->text) {
        return KJ_ENOMEM;
    }
    filter->len--;
    filter->hash = kj__hash(filter->text, filter->len);
    return KJ_OK;
}

enum kj_status kj__filter_parse(const char *text, size_t len, enum kj__filter_dialect dialect,
                                struct kj_filter **filter, struct kj_error *error)
{
    *filter = NULL;
    struct kj__filter_node *root;
    enum kj_status status = kj__filter_read(text, len, dialect, &root, error);
    if (status) {
        return status;
    }
    struct kj_filter *made = calloc(1, sizeof *made);
    if (!made) {
        kj__filter_node_free(root);
        return KJ_ENOMEM;
    }
    atomic_init(&made->references, 1);
    made->root = root;
    status = write_canonical(made);
    if (!status) {
        status = kj__filter_choose_key(made);
    }
    if (status) {
        free_filter(made);
        return status;
    }
    made->is_relative = kj__filter_node_walk(root, is_relative, NULL);
    made->size = sizeof *made + made->len + made->key_count * sizeof *made->key_hashes;
    (void)kj__filter_node_walk(root, add_size, &made->size);
    *filter = made;
    return KJ_OK;
}

enum { QUOTED_MAX = 200 }; /* bytes of a filter that an error repeats: its reason must fit, too */

/* As Go's %q writes it, as far as it fits. */
static void write_quoted(const char *text, size_t len, struct kj__buffer *out)
{
    size_t at = 0;
    kj__buffer_append_byte(out, '"');
    while (at < len && at < QUOTED_MAX) {
        static const char plain[] = "\"\\\a\b\f\n\r\t\v";
        static const char escapes[] = "\"\\abfnrtv";
        const char *special = text[at] ? strchr(plain, text[at]) : NULL;
        size_t size = kj__utf8_character((const uint8_t *)text + at, len - at);
        if (special) {
            kj__buffer_printf(out, "\\%c", escapes[special - plain]);
        } else if (size == 0 || (uint8_t)text[at] < 0x20 || text[at] == 0x7f) {
            kj__buffer_printf(out, "\\x%02x", (unsigned)(uint8_t)text[at]);
        } else {
            kj__buffer_append(out, text + at, size);
        }
        at += size ? size : 1;
    }
    kj__buffer_append_text(out, at < len ? "...\"" : "\"");
}

enum kj_status kj__filter_parse_push(const char *text, size_t len, struct kj_filter **filter,
                                     struct kj_error *error)
{
    struct kj_error reason;
    enum kj_status status = kj__filter_parse(text, len, KJ__FILTER_PUSH, filter, &reason);
    if (status == KJ_OK || status == KJ_ENOMEM) {
        return status;
    }
    struct kj__buffer quoted;
    kj__buffer_init(&quoted);
    write_quoted(text, len, &quoted);
    kj__buffer_append_byte(&quoted, '\0');
    kj_error_set(error, reason.position,
                 "unable to parse identity filters: elemental: unable to parse filter %s: %s",
                 quoted.failed ? "" : (const char *)quoted.data, reason.text);
    kj__buffer_fini(&quoted);
    return status;
}

struct kj_filter *kj_filter_ref(struct kj_filter *filter)
{
    atomic_fetch_add_explicit(&filter->references, 1, memory_order_relaxed);
    return filter;
}

void kj_filter_unref(struct kj_filter *filter)
{
    if (filter && atomic_fetch_sub_explicit(&filter->references, 1, memory_order_acq_rel) == 1) {
        free_filter(filter);
    }
}

const char *kj__filter_text(const struct kj_filter *filter, size_t *len)
{
    *len = filter->len;
    return filter->text;
}

uint64_t kj__filter_hash(const struct kj_filter *filter)
{
    return filter->hash;
}

bool kj__filter_is_relative(const struct kj_filter *filter)
{
    return filter->is_relative;
}

size_t kj__filter_size(const struct kj_filter *filter)
{
    return filter->size;
}

/* ---- as processors and storages see it ---- */

enum kj_status kj_filter_parse(const char *text, struct kj_filter **filter, struct kj_error *error)
{
    return kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, filter, error);
}

const char *kj_filter_text(const struct kj_filter *filter)
{
    return filter->text;
}

bool kj_filter_matches(const struct kj_filter *filter, const json_t *object)
{
    struct kj__filter_round round = {.now_ns = kj__clock_wall_ns()};
    bool matches = kj__filter_matches(filter, object, &round);
    if (round.cut) {
        /* A count more does not change what the filter says. */
        struct kj_filter *counting = (struct kj_filter *)(uintptr_t)filter;
        atomic_fetch_add_explicit(&counting->cut, round.cut, memory_order_relaxed);
    }
    return matches;
}

uint64_t kj__filter_cut(const struct kj_filter *filter)
{
    return atomic_load_explicit(&filter->cut, memory_order_relaxed);
}
