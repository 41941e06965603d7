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

/* ---- turns ---- */

static struct healing_turn *turn_of(struct kj_healing *healing, const char *user)
{
    size_t hash = 0;
    for (const char *at = user; *at; at++) {
        hash = hash * 31 + (size_t)*at;
    }
    return &healing->turns[hash % HEALING_TURNS];
}

static void take_turn(struct kj_healing *healing, const char *user)
{
    struct healing_turn *turn = turn_of(healing, user);
    pthread_mutex_lock(&turn->lock);
    while (turn->is_taken) {
        pthread_cond_wait(&turn->given_back, &turn->lock);
    }
    turn->is_taken = true;
    pthread_mutex_unlock(&turn->lock);
}

static void give_turn_back(struct kj_healing *healing, const char *user)
{
    struct healing_turn *turn = turn_of(healing, user);
    pthread_mutex_lock(&turn->lock);
    turn->is_taken = false;
    pthread_cond_signal(&turn->given_back);
    pthread_mutex_unlock(&turn->lock);
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

/* Whether who is not here is on another node. */
static bool is_elsewhere(const struct kj_healing *healing, struct kj_gateway *gateway,
                         const char *user)
{
    const struct kj_healing_options *options = &healing->options;
    return options->is_elsewhere && kj_gateway_member_count(gateway, KJ_TOPIC_USER, user) == 0 &&
           options->is_elsewhere(user, options->ctx);
}

static void take_out(struct kj_healing *healing, const struct kj_push_options *push)
{
    if (kj_messages_acknowledge(healing->options.messages, push->name, &push->id, 1, NULL)) {
        atomic_fetch_add(&healing->counters.mail_failed, 1); /* it comes twice */
    }
}

/* What is kept and could not be published comes with the next login. So does what was published to
 * nobody here, unless its receiver was on another node before and is there still: who came only
 * then may not have heard it. */
static enum kj_status keep_and_publish(struct kj_healing *healing, struct kj_gateway *gateway,
                                       const struct kj_push_options *push)
{
    struct kj_push_receipt receipt = {0};
    bool was_elsewhere = is_elsewhere(healing, gateway, push->name);
    take_turn(healing, push->name);
    enum kj_status status = keep(healing, push);
    bool is_published = !status && !kj_gateway_publish(gateway, push, &receipt);
    if (is_published && receipt.reached > 0) {
        take_out(healing, push);
    }
    give_turn_back(healing, push->name);
    if (is_published && receipt.reached == 0 && was_elsewhere &&
        is_elsewhere(healing, gateway, push->name)) {
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
    bool was_elsewhere = is_elsewhere(healing, gateway, push->name);
    enum kj_status status = kj_gateway_publish(gateway, push, &receipt);
    bool is_known_away = receipt.reached == 0 && (options->is_alone || options->is_elsewhere) &&
                         !was_elsewhere;
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
    bool has_turn; /* nothing waits, and nothing is sent until this is over */
};

static void run(void *item)
{
    struct reading *reading = item;
    struct kj_healing *healing = reading->healing;
    struct kj_messages *messages = healing->options.messages;
    enum kj_status status = KJ_OK;
    take_turn(healing, reading->user);
    if (reading->sent_count > 0) {
        status = kj_messages_acknowledge(messages, reading->user, reading->sent,
                                         reading->sent_count, NULL);
    }
    if (!status) {
        status = kj_messages_mailbox(messages, reading->user, reading->after, PAGE_MESSAGES,
                                     PAGE_BYTES, &reading->page);
    }
    reading->has_turn = !reading->page || reading->page->count == 0;
    if (!reading->has_turn) {
        give_turn_back(healing, reading->user);
    }
    if (status) {
        atomic_fetch_add(&healing->counters.mail_failed, 1);
    }
}

static void release(void *item)
{
    struct reading *reading = item;
    if (reading->has_turn) {
        give_turn_back(reading->healing, reading->user);
    }
    kj_messages_page_free(reading->page);
    free(reading);
}

/* The mailbox is empty, or cannot be read. What is sent from here on reaches the client. */
static void finish(struct kj_client *client)
{
    static const char greeting[] = "Hello, ws!";
    const struct healing_client *own = kj_client_data(client);
    if (kj_client_set_user(client, own->user, NULL)) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "the node takes no more users");
    } else {
        healing_send_text(client, greeting, sizeof greeting - 1);
    }
}

static void read_on(struct kj_client *client, struct kj_healing *healing,
                    const struct kj_messages_page *sent);

static void done(struct kj_client *client, void *item)
{
    struct reading *reading = item;
    struct healing_client *own = kj_client_data(client);
    const struct kj_messages_page *page = reading->page;
    if (!own || !kj_client_is_open(client)) {
        return; /* the page waits for the next login */
    }
    if (!page || page->count == 0) {
        finish(client);
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
        finish(client);
    }
}

void healing_mail_begin(struct kj_client *client, struct kj_healing *healing)
{
    if (healing->options.messages) {
        read_on(client, healing, NULL);
    } else {
        finish(client);
    }
}
