/* healing.h - what the files of healing2021's protocol share. */
#ifndef KJ_HANDLERS_HEALING_H
#define KJ_HANDLERS_HEALING_H

#include <kujata/healing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Member, name, help. */
#define HEALING_COUNTER_MAP(X)                                                                     \
    X(messages, "healing_messages_total", "Messages of healing that users and servers sent.")      \
    X(refused, "healing_messages_refused_total",                                                   \
      "Messages of healing that are no message, or to nobody there is.")                           \
    X(offline, "healing_messages_offline_total",                                                   \
      "Messages of healing to users who were away, with nothing kept.")                            \
    X(failed, "healing_messages_failed_total",                                                     \
      "Messages of healing that could not be kept or published.")                                  \
    X(mail_failed, "healing_mailboxes_failed_total",                                               \
      "Times what waits for a user of healing could not be read or taken out.")                    \
    X(strangers, "healing_strangers_total",                                                        \
      "Handshakes and histories of healing with the cookie of nobody, or none.")

struct healing_counters {
#define HEALING_COUNTER_MEMBER(member, name, help) _Atomic uint64_t member;
    HEALING_COUNTER_MAP(HEALING_COUNTER_MEMBER)
#undef HEALING_COUNTER_MEMBER
};

enum { HEALING_ID_SIZE = 17, HEALING_TURNS = 64 };

/* What `op` of pushes and messages says. */
enum { HEALING_FROM_USER = 0, HEALING_FROM_SYSTEM };

/* Held by whoever took it, on whatever thread that goes on. */
struct healing_turn {
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    bool is_taken; /* guarded by lock */
};

struct kj_healing {
    struct kj_healing_options options;
    struct kj_server *server; /* of the routes; NULL: there are none */
    struct healing_counters counters;
    /* By user: what is sent to one is kept and published, and what waits for one is read, in turns,
     * so that nothing comes both ways. Held while the disk is waited for; who has found that
     * nothing waits holds it until its shard has given the client its user. No shard waits for
     * it. */
    struct healing_turn turns[HEALING_TURNS];
};

/* A client. */
struct healing_client {
    char user[KJ_HEALING_USER_SIZE];
    int64_t last_mail; /* the number of the last message of the mailbox that it was sent */
};

/* The digits of a number from 1 on. */
bool healing_user_is_valid(const char *user);

/* ---- healing_letter.c ---- */

/* What is sent to one user. */
struct healing_letter {
    char from[KJ_HEALING_USER_SIZE]; /* "": the system */
    char to[KJ_HEALING_USER_SIZE];
    json_t *message; /* owned */
};

/* Reads what a user, or business code, has to say. `own` (may be NULL) is who it must be from.
 * KJ_EINVAL or KJ_ENOMEM; else the letter is the caller's to free. */
enum kj_status healing_letter_read(struct healing_letter *letter, const json_t *message,
                                   const char *own);
enum kj_status healing_letter_read_system(struct healing_letter *letter, const json_t *message);
void healing_letter_free(struct healing_letter *letter);

/* Adds what the server adds, keeps it, and publishes it.               [a thread that may wait] */
enum kj_healing_state healing_letter_send(struct kj_healing *healing, struct kj_gateway *gateway,
                                          struct healing_letter *letter);

/* ---- healing_mail.c ---- */

/* Sends a client what waits for its user; then it has its user, and is greeted. */
void healing_mail_begin(struct kj_client *client, struct kj_healing *healing);

/* Keeps a message, and publishes it. KJ_ENOTFOUND: nobody is there, and nothing is kept.
 *                                                                      [a thread that may wait] */
enum kj_status healing_mail_post(struct kj_healing *healing, struct kj_gateway *gateway,
                                 const struct kj_push_options *push);

/* ---- healing.c ---- */

/* Whose a cookie is (NULL: nobody's).                         [a thread that may wait] */
bool healing_user_of(const struct kj_healing *healing, const char *cookie,
                     struct kj_session *session, char user[KJ_HEALING_USER_SIZE]);

/* What cannot be sent closes the client. */
void healing_send_text(struct kj_client *client, const void *text, size_t len);

#endif
