/* parts.c - see parts.h: values, options and the frame of a document. */
#include "spec/parts.h"

#include "base/buffer.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_PAGE_OBJECTS = 10000 };

json_t *kj__spec_object(struct kj__spec *spec)
{
    json_t *object = json_object();
    spec->failed |= !object;
    return object;
}

json_t *kj__spec_array(struct kj__spec *spec)
{
    json_t *array = json_array();
    spec->failed |= !array;
    return array;
}

void kj__spec_set(struct kj__spec *spec, json_t *object, const char *key, json_t *value)
{
    spec->failed |= json_object_set_new(object, key, value) != 0;
}

void kj__spec_set_text(struct kj__spec *spec, json_t *object, const char *key, const char *text)
{
    kj__spec_set(spec, object, key, json_string(text));
}

void kj__spec_describe(struct kj__spec *spec, json_t *object, const char *own, const char *ours)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__buffer_append_text(&text, own ? own : "");
    kj__buffer_append_text(&text, own && ours ? "\n\n" : "");
    kj__buffer_append_text(&text, ours ? ours : "");
    spec->failed |= text.failed;
    if (text.len > 0) {
        kj__spec_set(spec, object, "description", kj__json_text((const char *)text.data, text.len));
    }
    kj__buffer_fini(&text);
}

void kj__spec_append(struct kj__spec *spec, json_t *array, json_t *value)
{
    spec->failed |= json_array_append_new(array, value) != 0;
}

json_t *kj__spec_ref(struct kj__spec *spec, const char *kind, const char *name)
{
    json_t *ref = kj__spec_object(spec);
    kj__spec_set(spec, ref, "$ref", json_sprintf("#/components/%s/%s", kind, name));
    return ref;
}

static enum kj_status refuse(const char *option, const char *text, struct kj_error *error)
{
    kj_error_set(error, 0, "option %s: %s", option, text);
    return KJ_EINVAL;
}

static bool is_url(const char *url)
{
    const char *host = NULL;
    if (strncmp(url, "http://", strlen("http://")) == 0) {
        host = url + strlen("http://");
    } else if (strncmp(url, "https://", strlen("https://")) == 0) {
        host = url + strlen("https://");
    }
    return host && *host && *host != '/' && !strpbrk(url, "?#{} \t\r\n");
}

static enum kj_status check_texts(const struct kj_spec_options *options, struct kj_error *error)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"title", options->title},
        {"version", options->version},
        {"server_url", options->server_url},
        {"api_prefix", options->api_prefix},
        {"push_endpoint", options->push_endpoint},
        {"token_cookie", options->token_cookie},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = texts[i].text;
        if (text && (!*text || !kj__utf8_is_valid((const uint8_t *)text, strlen(text)))) {
            return refuse(texts[i].name, "it is empty, or no UTF-8", error);
        }
    }
    return KJ_OK;
}

enum kj_status kj__spec_init(struct kj__spec *spec, const struct kj_model *model,
                             const struct kj_spec_options *options, struct kj_error *error)
{
    *spec = (struct kj__spec){.model = model};
    if (options) {
        spec->options = *options;
    }
    struct kj_spec_options *own = &spec->options;
    enum kj_status status = check_texts(own, error);
    if (status) {
        return status;
    }
    if (own->server_url && !is_url(own->server_url)) {
        return refuse("server_url", "it is not http[s]://HOST[:PORT][/PATH]", error);
    }
    own->title = own->title ? own->title : "Kujata";
    own->push_endpoint = own->push_endpoint ? own->push_endpoint : "/events";
    if (own->push_endpoint[0] != '/' || (own->api_prefix && own->api_prefix[0] != '/')) {
        return refuse(own->push_endpoint[0] != '/' ? "push_endpoint" : "api_prefix",
                      "it does not start with a slash", error);
    }
    own->page_objects = own->page_objects ? own->page_objects : DEFAULT_PAGE_OBJECTS;
    return KJ_OK;
}

enum kj_status kj__spec_finish_take(struct kj__spec *spec, json_t *made, json_t **document,
                                    struct kj_error *error)
{
    if (spec->failed) {
        kj_error_set(error, 0, "%s", kj_status_text(KJ_ENOMEM));
        json_decref(made);
        return KJ_ENOMEM;
    }
    *document = made;
    return KJ_OK;
}

json_t *kj__spec_info(struct kj__spec *spec, const char *description)
{
    json_t *info = kj__spec_object(spec);
    kj__spec_set_text(spec, info, "title", spec->options.title);
    kj__spec_set(spec, info, "version",
                 spec->options.version ? json_string(spec->options.version)
                                       : json_sprintf("%d", spec->model->version));
    kj__spec_set_text(spec, info, "description", description);
    return info;
}
