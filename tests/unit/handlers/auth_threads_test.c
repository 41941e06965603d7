/* auth_threads_test.c - authenticators and an auditor asked by some threads while another has them
 * read their files again. */
#include "unit/rest/cmocka_all.h"

#include "base/clock.h"
#include "unit/rest/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 300 };

static const char template[] = "/tmp/kujata-auth-XXXXXX";
static char folder[sizeof template];
static struct kj_auth_tokens *tokens;
static struct kj_auth_jwt *jwt;
static struct kj_audit_file *audit;
static struct fixture fixture;

static const char *path_of(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    struct kj_error error = {.text = ""};
    memcpy(folder, template, sizeof template);
    assert_non_null(mkdtemp(folder));
    write_file("tokens", "good sub=alice\n");
    assert_int_equal(kj_auth_tokens_new(&(struct kj_auth_tokens_options){.file = path_of("tokens"),
                                                                         .others_follow = true},
                                        &tokens, &error),
                     KJ_OK);
    write_file("key", "0123456789abcdef0123456789abcdef");
    assert_int_equal(kj_auth_jwt_new(&(struct kj_auth_jwt_options){.algorithm = "HS256",
                                                                   .key_file = path_of("key")},
                                     &jwt, &error),
                     KJ_OK);
    assert_int_equal(kj_audit_file_new(path_of("audit"), &audit, &error), KJ_OK);
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    kj_audit_file_free(audit);
    kj_auth_jwt_free(jwt);
    kj_auth_tokens_free(tokens);
    static const char *const names[] = {"tokens", "key", "audit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

static enum kj_status answer_nothing(struct kj_context *context, void *ctx)
{
    (void)ctx;
    const char *sub = kj_context_claim(context, "sub");
    return sub && strcmp(sub, "alice") == 0 ? KJ_OK : KJ_EINVAL;
}

/* HS256 of {"sub":"alice"} under the key above. */
static const char signed_token[] = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9."
                                   "1LyJX3n8HF4PKpKt6cAnOsvYK1JymjhYdwLb9Q6B8gQ";

static int status_of(const char *name, const char *value)
{
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    kj__http_response_init(&response);
    kj__fields_add(&headers, name, value);
    struct kj__http_request request = {.method = "GET",
                                       .path = "/lists",
                                       .query = "",
                                       .headers = &headers,
                                       .remote_address = "127.0.0.1"};
    kj__api_handle(&fixture.api, &request, &response);
    int status = response.status;
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    return status;
}

static void *ask(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (status_of("Authorization", "Bearer good") != 204 ||
            status_of("Authorization", signed_token) != 204 ||
            status_of("Authorization", "Bearer bad") != 401) {
            return (void *)"an answer changed";
        }
    }
    return NULL;
}

static void files_are_read_again_under_way(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct kj_request_authenticator chain[] = {kj_auth_tokens_request(tokens),
                                               kj_auth_jwt_request(jwt)};
    fixture.api.authenticators = chain;
    fixture.api.authenticator_count = 2;
    fixture.api.audit = kj_audit_file_auditor(audit);
    fixture_serve_with(&fixture, answer_nothing, NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(kj_auth_tokens_reload(tokens, NULL), KJ_OK);
        assert_int_equal(kj_auth_jwt_reload(jwt, NULL), KJ_OK);
        assert_int_equal(kj_audit_file_reopen(audit, NULL), KJ_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(fixture.counters.audit_records, 3 * THREADS * ROUNDS);

    FILE *file = fopen(path_of("audit"), "r");
    char line[1024];
    int lines = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *record = json_loads(line, 0, NULL);
        assert_non_null(record);
        json_decref(record);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 3 * THREADS * ROUNDS);
}

/* ---- a file that takes long to write to ---- */

enum { PAGE = 4096, LONG = 3000, PATIENCE_MS = 20, DEADLINE_MS = 20000, CALLERS = 6 };

static _Atomic int calls, ended;
static _Atomic bool is_reopened, is_over;

/* Two of the lines this makes do not fit into the pipe. */
static void *call_on(void *argument)
{
    (void)argument;
    char text[LONG + 1];
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    while (!atomic_load(&is_over)) {
        (void)status_of("traceparent", text);
        atomic_fetch_add(&calls, 1);
    }
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static void *reopen(void *file)
{
    void *wrong = kj_audit_file_reopen(file, NULL) ? "not reopened" : NULL;
    atomic_store(&is_reopened, true);
    return wrong;
}

/* Lets one line through, if there is one, and waits until who wrote it is back: the others are
 * writing all the while. */
static void drain(int pipe)
{
    static uint64_t lines;
    char bytes[PAGE];
    struct pollfd wanted = {.fd = pipe, .events = POLLIN};
    if (poll(&wanted, 1, PATIENCE_MS) == 1) {
        assert_true(read(pipe, bytes, sizeof bytes) > 0);
        lines++;
    }
    while (atomic_load(&fixture.counters.http_requests) < lines + CALLERS &&
           atomic_load(&ended) == 0) {
        sched_yield();
    }
}

static void reopening_does_not_wait_for_the_calls_to_come(void **state)
{
    (void)state;
    pthread_t threads[CALLERS];
    pthread_t reopener;
    struct kj_audit_file *slow;
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    int pipe = open(path_of("pipe"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(pipe, F_SETPIPE_SZ, PAGE), PAGE);
    assert_int_equal(kj_audit_file_new(path_of("pipe"), &slow, NULL), KJ_OK);
    fixture.api.authenticator_count = 0;
    fixture.api.audit = kj_audit_file_auditor(slow);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, NULL), 0);
    }
    while (atomic_load(&calls) < CALLERS) {
        drain(pipe);
    }

    assert_int_equal(pthread_create(&reopener, NULL, reopen, slow), 0);
    uint64_t end_ms = kj__clock_monotonic_ms() + DEADLINE_MS;
    while (!atomic_load(&is_reopened) && kj__clock_monotonic_ms() < end_ms) {
        drain(pipe);
    }
    bool was_reopened_meanwhile = atomic_load(&is_reopened);
    atomic_store(&is_over, true);

    void *wrong;
    while (atomic_load(&ended) < CALLERS) {
        drain(pipe);
    }
    assert_int_equal(pthread_join(reopener, &wrong), 0);
    assert_null(wrong);
    assert_true(was_reopened_meanwhile);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    kj_audit_file_free(slow);
    close(pipe);
    unlink(path_of("pipe"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_read_again_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reopening_does_not_wait_for_the_calls_to_come, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
