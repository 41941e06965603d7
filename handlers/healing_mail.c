/* healing_mail.c - what waits for a user, and what is kept of what was said.
 *
 * healing's clients acknowledge nothing. So a message waits in the mailbox only while its receiver
 * is on no node, and is taken out once it was sent at login. All that was sent to a user is one
 * history, that of the user with nobody in particular.
 */
#include "handlers/healing.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_MESSAGES = 100, PAGE_BYTES = 64 * 1024 };

static pthread_mutex_t *lock_of(struct kj_healing *healing, const char *user)
{
    size_t hash = 0;
    for (const char *at = user; *at; at++) {
        hash = hash * 31 + (size_t)*at;
    }
    return &healing->locks[hash % HEALING_LOCKS];
}

/* ---- sent ---- */

static enum kj_status keep(const struct kj_healing *healing, const struct kj_push_options *push)
{
    struct kj_messages_receipt receipt;
    const struct kj_message message = {.id = push->id,
                                       .user = push->name,
                                       .op = push->op,
                                       .time_ms = kj_push_id_time_ms(push->id),
                                       .body = push->body,
                                       .body_len = push->body_len,
                                       .body_is_json = true};
    const struct kj_messages_append append = {.to_mailbox = true, .to_history = true};
    return kj_messages_append(healing->options.messages, &message, &append, &receipt);
}

static bool is_elsewhere(const struct kj_healing *healing, const char *user)
{
    const struct kj_healing_options *options = &healing->options;
    return options->is_elsewhere && options->is_elsewhere(user, options->ctx);
}

static void take_out(struct kj_healing *healing, const struct kj_push_options *push)
{
    if (kj_messages_acknowledge(healing->options.messages, push->name, &push->id, 1, NULL)) {
        atomic_fetch_add(&healing->counters.mail_failed, 1); /* it comes twice */
    }
}

/* What is kept and could not be published comes with the next login. */
static enum kj_status keep_and_publish(struct kj_healing *healing, struct kj_gateway *gateway,
                                       const struct kj_push_options *push)
{
    struct kj_push_receipt receipt = {0};
    pthread_mutex_t *lock = lock_of(healing, push->name);
    pthread_mutex_lock(lock);
    enum kj_status status = keep(healing, push);
    bool is_published = !status && !kj_gateway_publish(gateway, push, &receipt);
    if (is_published && receipt.reached > 0) {
        take_out(healing, push);
    }
    pthread_mutex_unlock(lock);
    if (is_published && receipt.reached == 0 && is_elsewhere(healing, push->name)) {
        take_out(healing, push);
    }
    return status;
}

enum kj_status healing_mail_post(struct kj_healing *healing, struct kj_gateway *gateway,
                                 const struct kj_push_options *push)
{
    const struct kj_healing_options *options = &healing->options;
    struct kj_push_receipt receipt = {0};
    if (options->messages) {
        return keep_and_publish(healing, gateway, push);
    }
    enum kj_status status = kj_gateway_publish(gateway, push, &receipt);
    bool is_known_away = receipt.reached == 0 && (options->is_alone || options->is_elsewhere) &&
                         !is_elsewhere(healing, push->name);
    return !status && is_known_away ? KJ_ENOTFOUND : status;
}

/* ---- read at login ---- */

/* One page: what was sent before is taken out, then the next is read. */
struct reading {
    struct kj_healing *healing;
    char user[KJ_HEALING_USER_SIZE];
    int64_t after;
    uint64_t sent[PAGE_MESSAGES];
    size_t sent_count;
    struct kj_messages_page *page;
};

static void run(void *item)
{
    struct reading *reading = item;
    struct kj_healing *healing = reading->healing;
    struct kj_messages *messages = healing->options.messages;
    pthread_mutex_t *lock = lock_of(healing, reading->user);
    enum kj_status status = KJ_OK;
    pthread_mutex_lock(lock);
    if (reading->sent_count > 0) {
        status = kj_messages_acknowledge(messages, reading->user, reading->sent,
                                         reading->sent_count, NULL);
    }
    if (!status) {
        status = kj_messages_mailbox(messages, reading->user, reading->after, PAGE_MESSAGES,
                                     PAGE_BYTES, &reading->page);
    }
    pthread_mutex_unlock(lock);
    if (status) {
        atomic_fetch_add(&healing->counters.mail_failed, 1);
    }
}

static void release(void *item)
{
    struct reading *reading = item;
    kj_messages_page_free(reading->page);
    free(reading);
}

static void greet(struct kj_client *client)
{
    static const char greeting[] = "Hello, ws!";
    healing_send_text(client, greeting, sizeof greeting - 1);
}

static void read_on(struct kj_client *client, struct kj_healing *healing,
                    const struct kj_messages_page *sent);

/* The mailbox is empty, or cannot be read. What is sent from here on reaches the client; what was
 * sent since the last page was read is in the mailbox still, so that is read once more. */
static void finish(struct kj_client *client, struct kj_healing *healing)
{
    struct healing_client *own = kj_client_data(client);
    if (own->is_known) {
        greet(client);
        return;
    }
    own->is_known = true;
    if (kj_client_set_user(client, own->user, NULL)) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "the node takes no more users");
    } else if (healing->options.messages) {
        read_on(client, healing, NULL);
    } else {
        greet(client);
    }
}

static void done(struct kj_client *client, void *item)
{
    struct reading *reading = item;
    struct healing_client *own = kj_client_data(client);
    const struct kj_messages_page *page = reading->page;
    if (!own || !kj_client_is_open(client)) {
        return; /* the page waits for the next login */
    }
    if (!page || page->count == 0) {
        finish(client, reading->healing);
        return;
    }
    own->last_mail = page->items[page->count - 1].number;
    for (size_t i = 0; i < page->count; i++) {
        healing_send_text(client, page->items[i].body, page->items[i].body_len);
    }
    if (kj_client_is_open(client)) {
        read_on(client, reading->healing, page);
    }
}

static void read_on(struct kj_client *client, struct kj_healing *healing,
                    const struct kj_messages_page *sent)
{
    const struct healing_client *own = kj_client_data(client);
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading) {
        reading->healing = healing;
        reading->after = own->last_mail;
        memcpy(reading->user, own->user, sizeof reading->user);
        for (size_t i = 0; sent && i < sent->count; i++) {
            reading->sent[reading->sent_count++] = sent->items[i].id;
        }
    }
    if (!reading || kj_client_work(client, &(struct kj_work){run, done, release, reading})) {
        free(reading);
        atomic_fetch_add(&healing->counters.mail_failed, 1);
        finish(client, healing);
    }
}

void healing_mail_begin(struct kj_client *client, struct kj_healing *healing)
{
    if (healing->options.messages) {
        read_on(client, healing, NULL);
    } else {
        finish(client, healing);
    }
}
