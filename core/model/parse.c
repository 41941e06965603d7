/* parse.c - a model from a file: text, JSON, declaration, then the checks of all models. */
#include "model/build.h"
#include "model/locate.h"
#include "model/spec_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX_SIZE = 16 << 20, PLACE_MAX = 200, READ_SIZE = 16384 };

/* "model.json:14:9: ...", or just the name where no line is known. */
static enum kj_status explain_syntax(const json_error_t *fault, const char *source,
                                     struct kj_error *error)
{
    char place[PLACE_MAX];
    if (fault->line > 0) {
        snprintf(place, sizeof place, "%s:%d:%d", source, fault->line, fault->column);
    } else {
        snprintf(place, sizeof place, "%s", source);
    }
    kj_error_set(error, fault->position > 0 ? (size_t)fault->position : 0, "%s: %s", place,
                 fault->text);
    return json_error_code(fault) == json_error_out_of_memory ? KJ_ENOMEM : KJ_EPARSE;
}

static void explain_fault(const char *text, size_t len, const char *source,
                          const struct kj__walk *walk, struct kj_error *error)
{
    char place[PLACE_MAX];
    size_t offset = kj__declaration_locate(text, len, walk);
    snprintf(place, sizeof place, "%s:%zu", source, kj__declaration_line(text, offset));
    kj__walk_explain(walk, place, offset, error);
}

enum kj_status kj_model_parse(const char *text, size_t len, const char *source,
                              struct kj_model **model, struct kj_error *error)
{
    *model = NULL;
    json_error_t fault;
    json_t *json = kj__declaration_read(text, len, &fault);
    if (!json) {
        return explain_syntax(&fault, source, error);
    }
    struct kj_model_spec spec;
    struct kj__walk walk = {.text = ""};
    enum kj_status status = kj__model_spec_read(json, &spec, &walk);
    if (!status) {
        walk = (struct kj__walk){.text = ""};
        status = kj__model_build(&spec, model, &walk);
    }
    if (status == KJ_EINVAL) {
        explain_fault(text, len, source, &walk, error);
    } else if (status) {
        kj_error_set(error, 0, "%s: %s", source, kj_status_text(status));
    }
    kj__model_spec_fini(&spec);
    json_decref(json);
    return status;
}

static enum kj_status read_all(FILE *file, struct kj__buffer *text)
{
    size_t got;
    do {
        uint8_t *room = kj__buffer_reserve(text, READ_SIZE);
        if (!room) {
            return KJ_ENOMEM;
        }
        got = fread(room, 1, READ_SIZE, file);
        text->len += got;
        if (text->len > FILE_MAX_SIZE) {
            return KJ_ELIMIT;
        }
    } while (got > 0);
    return ferror(file) ? KJ_EIO : KJ_OK;
}

enum kj_status kj_model_load(const char *path, struct kj_model **model, struct kj_error *error)
{
    *model = NULL;
    FILE *file = fopen(path, "re");
    if (!file) {
        kj_error_set(error, 0, "%s: %s", path, strerror(errno));
        return KJ_EIO;
    }
    struct kj__buffer text;
    kj__buffer_init(&text);
    enum kj_status status = read_all(file, &text);
    if (status) {
        kj_error_set(error, 0, "%s: %s", path,
                     status == KJ_EIO ? strerror(errno) : kj_status_text(status));
    } else {
        status = kj_model_parse((const char *)text.data, text.len, path, model, error);
    }
    kj__buffer_fini(&text);
    fclose(file);
    return status;
}
