/* audit_file.c - see kujata/audit.h. */
#include "handlers/writers_first.h"

#include <kujata/audit.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MODE = 0600, TIME_SIZE = 40, NS_PER_MS = 1000000 };

struct kj_audit_file {
    char *path;
    pthread_rwlock_t lock; /* held to read while a line is written, so that nobody closes it */
    int fd;                /* guarded by it */
};

/* ---- life ---- */

static int open_file(const char *path, struct kj_error *error)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, FILE_MODE);
    if (fd < 0) {
        kj_error_set(error, 0, "%s: %s", path, strerror(errno));
    }
    return fd;
}

enum kj_status kj_audit_file_new(const char *path, struct kj_audit_file **file,
                                 struct kj_error *error)
{
    *file = NULL;
    struct kj_audit_file *made = calloc(1, sizeof *made);
    char *copy = strdup(path);
    int fd = made && copy ? open_file(path, error) : -1;
    if (fd < 0) {
        bool is_full = !made || !copy;
        if (is_full) {
            kj_error_set(error, 0, "%s: no memory", path);
        }
        free(copy);
        free(made);
        return is_full ? KJ_ENOMEM : KJ_EIO;
    }
    made->path = copy;
    made->fd = fd;
    kj__writers_first_init(&made->lock);
    *file = made;
    return KJ_OK;
}

enum kj_status kj_audit_file_reopen(struct kj_audit_file *file, struct kj_error *error)
{
    int fd = open_file(file->path, error);
    if (fd < 0) {
        return KJ_EIO;
    }
    pthread_rwlock_wrlock(&file->lock);
    int old = file->fd;
    file->fd = fd;
    pthread_rwlock_unlock(&file->lock);
    close(old);
    return KJ_OK;
}

void kj_audit_file_free(struct kj_audit_file *file)
{
    if (file) {
        close(file->fd);
        pthread_rwlock_destroy(&file->lock);
        free(file->path);
        free(file);
    }
}

/* ---- lines ---- */

/* A member with nothing to say is left out. */
static void put_text(json_t *line, const char *name, const char *text)
{
    if (text && *text) {
        json_t *value = json_string(text);
        /* What a peer sent may not be UTF-8: its presence is recorded. */
        json_object_set_new(line, name, value ? value : json_string("(not UTF-8)"));
    }
}

static void put_time(json_t *line)
{
    struct timespec now;
    struct tm utc;
    char text[TIME_SIZE];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%03ldZ", now.tv_nsec / NS_PER_MS);
    put_text(line, "time", text);
}

/* Claims say who it was; what would let somebody be that person, or write to them, does not
 * belong into a log. */
static bool is_secret(const char *claim, size_t key_len)
{
    static const char *const parts[] = {"token", "secret", "password", "email", "phone"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t len = strlen(parts[i]);
        for (size_t at = 0; at + len <= key_len; at++) {
            if (strncasecmp(claim + at, parts[i], len) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void put_claims(json_t *line, const char *const *claims, size_t count)
{
    json_t *list = count ? json_array() : NULL;
    for (size_t i = 0; list && i < count; i++) {
        size_t key_len = strcspn(claims[i], "=");
        json_array_append_new(list, is_secret(claims[i], key_len)
                                        ? json_sprintf("%.*s=***", (int)key_len, claims[i])
                                        : json_string(claims[i]));
    }
    if (list) {
        json_object_set_new(line, "claims", list);
    }
}

static void put_outcome(json_t *line, const struct kj_audit_outcome *outcome)
{
    json_object_set_new(line, "status", json_integer(outcome->status));
    json_object_set_new(line, "durationUS", json_integer((json_int_t)outcome->duration_us));
    put_text(line, "error", outcome->error_title);
}

/* Several nodes and threads append: a line that is not written in one go would be two halves. */
static enum kj_status write_line(struct kj_audit_file *file, const char *text, size_t len)
{
    pthread_rwlock_rdlock(&file->lock);
    ssize_t written = write(file->fd, text, len);
    if (written > 0 && (size_t)written < len) {
        /* The disk is full in the middle of it: at least the next line starts on its own. */
        ssize_t ignored = write(file->fd, "\n", 1);
        (void)ignored;
    }
    pthread_rwlock_unlock(&file->lock);
    return written == (ssize_t)len ? KJ_OK : KJ_EIO;
}

static enum kj_status write_record_take(struct kj_audit_file *file, json_t *line)
{
    size_t len = json_dumpb(line, NULL, 0, JSON_COMPACT);
    char *text = len ? malloc(len + 1) : NULL;
    enum kj_status status = KJ_ENOMEM;
    if (text) {
        json_dumpb(line, text, len, JSON_COMPACT);
        text[len] = '\n';
        status = write_line(file, text, len + 1);
    }
    free(text);
    json_decref(line);
    return status;
}

/* ---- the auditor ---- */

static enum kj_status audit(const struct kj_context *context,
                            const struct kj_audit_outcome *outcome, void *ctx)
{
    const struct kj_request *request = kj_context_request(context);
    const struct kj_identity *parent = request->parent_identity;
    json_t *line = json_object();
    if (!line) {
        return KJ_ENOMEM;
    }
    put_time(line);
    put_text(line, "kind", "operation");
    put_text(line, "request", request->id);
    put_text(line, "operation", kj_operation_name(request->operation));
    put_text(line, "identity", kj_identity_name(request->identity));
    put_text(line, "objectID", request->object_id);
    put_text(line, "parentIdentity", parent ? kj_identity_name(parent) : NULL);
    put_text(line, "parentID", request->parent_id);
    put_text(line, "namespace", request->namespace_name);
    size_t count;
    const char *const *claims = kj_context_claims(context, &count);
    put_claims(line, claims, count);
    put_text(line, "remoteAddress", request->remote_address);
    put_outcome(line, outcome);
    put_text(line, "traceparent", kj_context_header(context, "traceparent"));
    return write_record_take(ctx, line);
}

static enum kj_status audit_session(const struct kj_session *session,
                                    const struct kj_audit_outcome *outcome, void *ctx)
{
    json_t *line = json_object();
    if (!line) {
        return KJ_ENOMEM;
    }
    put_time(line);
    put_text(line, "kind", "session");
    put_text(line, "session", kj_session_id(session));
    put_text(line, "namespace", kj_session_parameter(session, "namespace"));
    size_t count;
    const char *const *claims = kj_session_claims(session, &count);
    put_claims(line, claims, count);
    put_text(line, "remoteAddress", kj_session_remote_address(session));
    put_outcome(line, outcome);
    put_text(line, "traceparent", kj_session_header(session, "traceparent"));
    return write_record_take(ctx, line);
}

struct kj_auditor kj_audit_file_auditor(struct kj_audit_file *file)
{
    return (struct kj_auditor){.audit = audit, .audit_session = audit_session, .ctx = file};
}
