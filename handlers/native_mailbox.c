/* native_mailbox.c - what waits for a user: sent when one of the user's clients comes, and taken
 * out of the mailbox when one has acknowledged it.
 *
 * A client is sent mailbox_window messages, and more once it has acknowledged half of them. What is
 * published meanwhile comes at once, and again in its place unless it was acknowledged by then.
 */
#include "handlers/native.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 64 * 1024 };

static const struct native_fault no_mailbox = {"off", "it has no mailbox"};
static const struct native_fault unreadable = {
    "mailbox", "the mailbox cannot be read now; ask for mailbox to try again"};

static bool has_mailbox(const struct kj_native *native, const struct kj_client *client)
{
    return native->options.messages && native->options.keeps_mailboxes && kj_client_user(client);
}

/* ---- sent ---- */

struct reading {
    struct native_work work;
    int64_t after;
    struct kj_messages_page *page; /* NULL: too many are not acknowledged */
};

static void run_reading(struct native_work *work)
{
    struct reading *reading = (struct reading *)work;
    const struct kj_native_options *options = &work->native->options;
    size_t sent = 0;
    if (reading->after) {
        work->status = kj_messages_unread(options->messages, work->user, reading->after, &sent);
    }
    if (!work->status && sent <= options->mailbox_window / 2) {
        work->status = kj_messages_mailbox(options->messages, work->user, reading->after,
                                           options->mailbox_window - sent, PAGE_BYTES,
                                           &reading->page);
    }
}

static void send_page(struct kj_client *client, const struct kj_messages_page *page)
{
    char topic[KJ_NAME_MAX + 16];
    (void)snprintf(topic, sizeof topic, "user.%s", kj_client_user(client));
    json_t *items = native_make_items(page);
    json_t *push = items ? json_pack("{s:o, s:b, s:b}", "items", items, "mailbox", true, "more",
                                     page->has_more)
                         : NULL;
    native_send_push_take(client, topic, push);
}

static const struct native_fault *finish_reading(struct kj_client *client, struct native_work *work)
{
    struct reading *reading = (struct reading *)work;
    struct native_client *own = kj_client_data(client);
    own->is_reading = false;
    if (own->begins_again) {
        own->begins_again = false;
        native_mail_begin(client, work->native);
        return NULL;
    }
    if (work->status) {
        return &unreadable;
    }
    const struct kj_messages_page *page = reading->page;
    if (page) {
        own->wants_mail = page->has_more;
    }
    if (page && page->count > 0) {
        own->last_mail = page->items[page->count - 1].number;
        send_page(client, page);
    }
    return NULL;
}

static void fini_reading(struct native_work *work)
{
    kj_messages_page_free(((struct reading *)work)->page);
}

void native_mail_go_on(struct kj_client *client, struct kj_native *native)
{
    struct native_client *own = kj_client_data(client);
    if (!own || !own->wants_mail || own->is_reading) {
        return;
    }
    const struct native_request request = {.client = client, .native = native};
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading) {
        reading->work = (struct native_work){
            .run = run_reading, .finish = finish_reading, .fini = fini_reading};
        reading->after = own->last_mail;
        own->is_reading = native_work_take(&request, &reading->work) == NULL;
    }
    if (!own->is_reading) {
        native_refuse(&request, &unreadable); /* or it would wait for what does not come */
    }
}

void native_mail_begin(struct kj_client *client, struct kj_native *native)
{
    struct native_client *own = has_mailbox(native, client) ? native_client_of(client) : NULL;
    if (own && own->is_reading) {
        own->begins_again = true;
    } else if (own) {
        own->wants_mail = true;
        own->last_mail = 0;
        native_mail_go_on(client, native);
        native_nodes_ask(native, client);
    }
}

/* ---- acknowledged ---- */

struct acknowledging {
    struct native_work work;
    uint64_t client;
    uint64_t ids[NATIVE_ACK_MAX];
    size_t count;
    size_t accepted; /* that were here, or may be elsewhere */
};

/* Tells one sender of those of the page from `first` on that are the sender's. */
static void tell_sender(struct kj_gateway *gateway, const char *user,
                        const struct kj_messages_page *page, size_t first)
{
    uint8_t *body = NULL;
    size_t len = 0;
    const char *from = page->items[first].from;
    json_t *ids = json_array();
    for (size_t i = first; i < page->count; i++) {
        if (strcmp(page->items[i].from, from) == 0) {
            char id[NATIVE_ID_SIZE];
            (void)snprintf(id, sizeof id, "%016" PRIx64, page->items[i].id);
            json_array_append_new(ids, json_string(id));
        }
    }
    if (ids && !kj_value_encode(KJ_ENCODING_JSON, ids, &body, &len)) {
        /* A failure is counted and logged there. */
        (void)kj_gateway_publish(gateway,
                                 &(struct kj_push_options){.kind = KJ_TOPIC_USER,
                                                           .name = from,
                                                           .from = user,
                                                           .presence = KJ_PRESENCE_RECEIPT,
                                                           .body = body,
                                                           .body_len = len,
                                                           .body_is_json = true},
                                 NULL);
    }
    free(body);
    json_decref(ids);
}

void native_tell_senders(struct kj_gateway *gateway, const char *user,
                         const struct kj_messages_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        const char *from = page->items[i].from;
        bool is_told = *from == '\0';
        for (size_t j = 0; j < i && !is_told; j++) {
            is_told = strcmp(page->items[j].from, from) == 0;
        }
        if (!is_told) {
            tell_sender(gateway, user, page, i);
        }
    }
}

/* Those that were not here may be on other nodes. */
static void pass_on(struct acknowledging *acknowledging, const struct kj_messages_page *removed)
{
    size_t count = 0;
    for (size_t i = 0; i < acknowledging->count; i++) {
        bool was_here = false;
        for (size_t j = 0; j < removed->count && !was_here; j++) {
            was_here = removed->items[j].id == acknowledging->ids[i];
        }
        if (!was_here) {
            acknowledging->ids[count++] = acknowledging->ids[i];
        }
    }
    native_nodes_acknowledge(acknowledging->work.native, acknowledging->client,
                             acknowledging->work.user, acknowledging->ids, count);
    acknowledging->accepted = removed->count + (acknowledging->work.native->nodes ? count : 0);
}

static void run_acknowledging(struct native_work *work)
{
    struct acknowledging *acknowledging = (struct acknowledging *)work;
    const struct kj_native_options *options = &work->native->options;
    struct kj_messages_page *removed = NULL;
    work->status = kj_messages_acknowledge(options->messages, work->user, acknowledging->ids,
                                           acknowledging->count, &removed);
    if (!work->status) {
        if (!options->tells_no_receipts) {
            native_tell_senders(work->gateway, work->user, removed);
        }
        pass_on(acknowledging, removed);
    }
    kj_messages_page_free(removed);
}

static const struct native_fault *finish_acknowledging(struct kj_client *client,
                                                       struct native_work *work)
{
    const struct acknowledging *acknowledging = (struct acknowledging *)work;
    if (!work->status) {
        const struct native_request request = {.client = client, .id = work->id};
        native_answer_take(&request,
                           json_pack("{s:I}", "accepted", (json_int_t)acknowledging->accepted));
        native_mail_go_on(client, work->native);
    }
    return native_fault_of(work->status);
}

const struct native_fault *native_acknowledge(const struct native_request *request)
{
    static const struct native_fault bad = {"bad_request", "ids are at most 1000 texts"};
    const json_t *ids = json_object_get(request->data, "ids");
    size_t count = json_array_size(ids);
    if (!json_is_array(ids) || count > NATIVE_ACK_MAX) {
        return &bad;
    }
    struct acknowledging *acknowledging = calloc(1, sizeof *acknowledging);
    if (!acknowledging) {
        return &native_busy;
    }
    acknowledging->work = (struct native_work){.run = run_acknowledging,
                                               .finish = finish_acknowledging};
    acknowledging->client = kj_client_id(request->client);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_string(id)) {
            free(acknowledging);
            return &bad;
        }
        /* What is no ID is none of ours. */
        acknowledging->count += native_read_id(id, &acknowledging->ids[acknowledging->count]);
    }
    if (has_mailbox(request->native, request->client)) {
        return native_work_take(request, &acknowledging->work);
    }
    free(acknowledging);
    native_answer_take(request, json_pack("{s:I}", "accepted", (json_int_t)count));
    return NULL;
}

/* ---- counted ---- */

struct counting {
    struct native_work work;
    size_t count;
};

static void run_counting(struct native_work *work)
{
    work->status = kj_messages_unread(work->native->options.messages, work->user, 0,
                                      &((struct counting *)work)->count);
}

static const struct native_fault *finish_counting(struct kj_client *client,
                                                  struct native_work *work)
{
    if (!work->status) {
        const struct native_request request = {.client = client, .id = work->id};
        native_answer_take(
            &request, json_pack("{s:I}", "unread", (json_int_t)((struct counting *)work)->count));
        native_mail_go_on(client, work->native);
    }
    return native_fault_of(work->status);
}

const struct native_fault *native_query_unread(const struct native_request *request)
{
    if (!has_mailbox(request->native, request->client)) {
        return &no_mailbox;
    }
    struct counting *counting = calloc(1, sizeof *counting);
    if (!counting) {
        return &native_busy;
    }
    counting->work = (struct native_work){.run = run_counting, .finish = finish_counting};
    return native_work_take(request, &counting->work);
}

const struct native_fault *native_query_mailbox(const struct native_request *request)
{
    if (!has_mailbox(request->native, request->client)) {
        return &no_mailbox;
    }
    native_answer_take(request, json_object());
    native_mail_begin(request->client, request->native);
    return NULL;
}
