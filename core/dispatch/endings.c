/* endings.c - see endings.h. */
#include "dispatch/endings.h"

#include "base/id.h"
#include "base/log.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"
#include "delivery/credential_index.h"

#include <stdlib.h>

enum { VERSION = 1, ELEMENTS = 3 };

/* ---- as it travels ---- */

void kj__ending_encode(const struct kj__ending *ending, struct kj__buffer *out)
{
    kj__msgpack_put_array(out, ELEMENTS);
    kj__msgpack_put_int(out, VERSION);
    kj__msgpack_put_int(out, (int64_t)ending->node);
    kj__msgpack_put_int(out, (int64_t)ending->credential);
}

static bool read_int(struct kj__msgpack_reader *reader, int64_t *number)
{
    struct kj__msgpack_item item;
    if (kj__msgpack_next(reader, &item, NULL) || item.type != KJ__MSGPACK_INT) {
        return false;
    }
    *number = item.integer;
    return true;
}

bool kj__ending_decode(const uint8_t *bytes, size_t len, struct kj__ending *ending)
{
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(bytes, len);
    struct kj__msgpack_item array;
    int64_t version;
    int64_t node;
    int64_t credential;
    if (kj__msgpack_next(&reader, &array, NULL) || array.type != KJ__MSGPACK_ARRAY ||
        array.count < ELEMENTS || !read_int(&reader, &version) || version != VERSION ||
        !read_int(&reader, &node) || !read_int(&reader, &credential) || credential == 0) {
        return false;
    }
    *ending = (struct kj__ending){.node = (uint64_t)node, .credential = (uint64_t)credential};
    return true;
}

/* ---- heard, on a thread of the backend ---- */

static void on_publication(struct kj_publication *publication, void *ctx)
{
    struct kj__endings *endings = ctx;
    struct kj__ending ending;
    size_t len;
    const uint8_t *data = kj_publication_data(publication, &len);
    if (!kj__ending_decode(data, len, &ending)) {
        static struct kj__log_limit limit;
        KJ__COUNT(endings->delivery->counters, endings_undecodable);
        kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                        "a publication on %.200s tells of no credential that ended",
                        kj_publication_topic(publication));
        return;
    }
    if (ending.node != endings->node) {
        size_t count = kj__credential_end(endings->delivery, ending.credential);
        KJ__COUNT(endings->delivery->counters, endings_heard);
        KJ__COUNT_BY(endings->delivery->counters, endings_sessions, count);
    }
}

/* ---- told ---- */

static enum kj_status publish(const struct kj__endings *endings, uint64_t credential)
{
    struct kj__buffer bytes;
    struct kj_publication *publication = NULL;
    kj__buffer_init(&bytes);
    kj__ending_encode(&(struct kj__ending){endings->node, credential}, &bytes);
    enum kj_status status = bytes.failed ? KJ_ENOMEM : KJ_OK;
    if (!status) {
        status = kj_publication_new(
            &(struct kj_publication_options){.topic = endings->topic,
                                             .encoding = KJ_ENCODING_MSGPACK,
                                             .data = bytes.data,
                                             .len = bytes.len},
            &publication);
    }
    if (!status) {
        status = kj_pubsub_publish(endings->pubsub, publication);
    }
    kj_publication_unref(publication);
    kj__buffer_fini(&bytes);
    return status;
}

size_t kj__endings_end(struct kj__endings *endings, uint64_t credential)
{
    size_t count = kj__credential_end(endings->delivery, credential);
    if (credential == 0 || !endings->topic) {
        return count;
    }
    enum kj_status status = publish(endings, credential);
    if (status) {
        static struct kj__log_limit limit;
        KJ__COUNT(endings->delivery->counters, endings_untold);
        kj__log_limited(&limit, KJ__LOG_ERROR, "dispatch",
                        "other nodes were not told that a credential ended, so their sessions of "
                        "it go on: %s",
                        kj_status_text(status));
    } else {
        KJ__COUNT(endings->delivery->counters, endings_told);
    }
    return count;
}

/* ---- life ---- */

enum kj_status kj__endings_init(struct kj__endings *endings, struct kj__delivery *delivery,
                                struct kj_pubsub *pubsub, const char *prefix)
{
    struct kj__buffer topic;
    size_t len;
    *endings = (struct kj__endings){.delivery = delivery, .pubsub = pubsub};
    if (!prefix) {
        return KJ_OK;
    }
    kj__random_bytes(&endings->node, sizeof endings->node);
    kj__buffer_init(&topic);
    kj__buffer_printf(&topic, "%s.credentials", prefix);
    kj__buffer_append_byte(&topic, '\0');
    endings->topic = (char *)kj__buffer_take(&topic, &len);
    return endings->topic ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__endings_start(struct kj__endings *endings)
{
    const struct kj_subscribe_options options = {.shares_thread = true};
    return endings->topic ? kj_pubsub_subscribe(endings->pubsub, endings->topic, &options,
                                                on_publication, endings, &endings->subscription)
                          : KJ_OK;
}

void kj__endings_stop(struct kj__endings *endings)
{
    kj_pubsub_unsubscribe(endings->pubsub, endings->subscription);
    endings->subscription = NULL;
}

void kj__endings_fini(struct kj__endings *endings)
{
    free(endings->topic);
}
