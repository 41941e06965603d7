/* credential_index.c - see credential_index.h. */
#include "delivery/credential_index.h"

#include "delivery/delivery.h"
#include "delivery/session.h"

#include <stdlib.h>

enum { LONG_AGO_MS = 1 };

void kj__credential_index_init(struct kj__credential_index *index)
{
    pthread_mutex_init(&index->lock, NULL);
    for (size_t i = 0; i < KJ__CREDENTIAL_BUCKETS; i++) {
        kj__list_init(&index->buckets[i]);
    }
}

void kj__credential_index_fini(struct kj__credential_index *index)
{
    pthread_mutex_destroy(&index->lock);
}

static struct kj__credential_index *index_of(const struct kj_session *session)
{
    return &session->connection.shard->delivery->credential_index;
}

static struct kj__list *bucket_of(struct kj__credential_index *index, uint64_t credential)
{
    return &index->buckets[credential % KJ__CREDENTIAL_BUCKETS];
}

/* Lock held. */
static void set(struct kj__credential_index *index, struct kj_session *session, uint64_t credential)
{
    kj__list_unlink(&session->credential_link);
    session->credential = credential;
    if (credential) {
        kj__list_append(bucket_of(index, credential), &session->credential_link);
    }
}

void kj__credential_set(struct kj_session *session, uint64_t credential)
{
    struct kj__credential_index *index = index_of(session);
    /* Its own to read: only who has the session changes it. */
    if (session->credential != credential) {
        pthread_mutex_lock(&index->lock);
        set(index, session, credential);
        pthread_mutex_unlock(&index->lock);
    }
}

void kj__credential_take_over(struct kj_session *session, struct kj_session *stand_in)
{
    struct kj__credential_index *index = index_of(session);
    pthread_mutex_lock(&index->lock);
    set(index, session, stand_in->credential);
    set(index, stand_in, 0);
    kj_session_set_expiry(session, kj_session_expiry(stand_in));
    pthread_mutex_unlock(&index->lock);
}

/* ---- ending them ---- */

struct end_job {
    struct kj__job job;
    uint64_t credential;
};

/* What has run out is noticed now, and not at the next ping. One without its socket yet is looked
 * at when it gets that. */
static void run_end(struct kj__job *base, struct kj__shard *shard)
{
    struct end_job *job = (struct end_job *)base;
    struct kj__credential_index *index = &shard->delivery->credential_index;
    const struct kj__list *bucket = bucket_of(index, job->credential);
    pthread_mutex_lock(&index->lock);
    for (const struct kj__list *link = bucket->next; link != bucket; link = link->next) {
        struct kj_session *session = KJ__CONTAINER_OF(link, struct kj_session, credential_link);
        struct kj__connection *connection = &session->connection;
        if (session->credential == job->credential && connection->shard == shard &&
            connection->state == KJ__CONNECTION_OPEN) {
            kj__connection_arm_timer(connection);
        }
    }
    pthread_mutex_unlock(&index->lock);
    free(job);
}

static void tell_shard(struct kj__shard *shard, uint64_t credential)
{
    struct end_job *job = malloc(sizeof *job);
    if (job) {
        *job = (struct end_job){.job.run = run_end, .credential = credential};
        if (kj__shard_try_post(shard, &job->job)) {
            free(job);
        }
    }
}

size_t kj__credential_end(struct kj__delivery *delivery, uint64_t credential)
{
    struct kj__credential_index *index = &delivery->credential_index;
    const struct kj__list *bucket = bucket_of(index, credential);
    size_t count = 0;
    if (credential == 0) {
        return 0;
    }
    pthread_mutex_lock(&index->lock);
    for (const struct kj__list *link = bucket->next; link != bucket; link = link->next) {
        struct kj_session *session = KJ__CONTAINER_OF(link, struct kj_session, credential_link);
        if (session->credential == credential) {
            atomic_store(&session->connection.expires_ms, LONG_AGO_MS);
            count++;
        }
    }
    pthread_mutex_unlock(&index->lock);
    for (size_t i = 0; i < delivery->shard_count && count > 0; i++) {
        tell_shard(&delivery->shards[i], credential);
    }
    return count;
}
