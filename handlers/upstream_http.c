/* upstream_http.c - see upstream.h: libcurl, and connections that are kept for the next call. */
#include "handlers/upstream.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_MAX = 16 /* handles that are kept, each with its connection */ };

struct upstream_http {
    char *url;
    struct curl_slist *headers;
    uint32_t timeout_ms, answer_bytes;
    pthread_mutex_t lock;
    CURL *idle[IDLE_MAX]; /* guarded by lock, as is the next */
    size_t idle_count;
};

static pthread_once_t is_initialised = PTHREAD_ONCE_INIT;

static void initialise(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- made ---- */

static bool is_url(const char *text)
{
    CURLU *url = curl_url();
    char *host = NULL;
    bool is_fine = text && url &&
                   (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) &&
                   curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    curl_free(host);
    curl_url_cleanup(url);
    return is_fine;
}

static enum kj_status check(const struct kj_upstream_options *options, struct kj_error *error)
{
    const char *fault = NULL;
    if (!is_url(options->url)) {
        fault = "url is no http:// or https:// URL";
    } else if (options->token && strpbrk(options->token, "\r\n")) {
        fault = "token is more than one line";
    }
    if (fault && error) {
        kj_error_set(error, 0, "upstream: %s", fault);
    }
    return fault ? KJ_EINVAL : KJ_OK;
}

/* False when there is no memory. */
static bool add_header(struct upstream_http *http, const char *header)
{
    struct curl_slist *headers = curl_slist_append(http->headers, header);
    http->headers = headers ? headers : http->headers;
    return headers;
}

static bool add_token(struct upstream_http *http, const char *token)
{
    char *header = NULL;
    if (!token) {
        return true;
    }
    bool is_added = asprintf(&header, "Authorization: Bearer %s", token) >= 0 &&
                    add_header(http, header);
    free(header);
    return is_added;
}

enum kj_status upstream_http_new(const struct kj_upstream_options *options,
                                 struct upstream_http **http, struct kj_error *error)
{
    *http = NULL;
    pthread_once(&is_initialised, initialise);
    enum kj_status status = check(options, error);
    struct upstream_http *made = status ? NULL : calloc(1, sizeof *made);
    if (!made) {
        return status ? status : KJ_ENOMEM;
    }
    pthread_mutex_init(&made->lock, NULL);
    made->url = strdup(options->url);
    made->timeout_ms = options->timeout_ms;
    made->answer_bytes = options->answer_bytes;
    /* Without Expect, a body is not held back until the peer has said 100. */
    if (!made->url || !add_header(made, "Content-Type: application/json") ||
        !add_header(made, "Accept: application/json") || !add_header(made, "Expect:") ||
        !add_token(made, options->token)) {
        upstream_http_free(made);
        return KJ_ENOMEM;
    }
    *http = made;
    return KJ_OK;
}

void upstream_http_free(struct upstream_http *http)
{
    if (!http) {
        return;
    }
    for (size_t i = 0; i < http->idle_count; i++) {
        curl_easy_cleanup(http->idle[i]);
    }
    curl_slist_free_all(http->headers);
    pthread_mutex_destroy(&http->lock);
    free(http->url);
    free(http);
}

/* ---- handles ---- */

static CURL *make_handle(const struct upstream_http *http)
{
    CURL *handle = curl_easy_init();
    bool is_made = handle && !curl_easy_setopt(handle, CURLOPT_URL, http->url) &&
                   !curl_easy_setopt(handle, CURLOPT_HTTPHEADER, http->headers) &&
                   !curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)http->timeout_ms) &&
                   !curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L) &&
                   !curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https") &&
                   !curl_easy_setopt(handle, CURLOPT_PROXY, "") &&
                   !curl_easy_setopt(handle, CURLOPT_POST, 1L);
    if (!is_made) {
        curl_easy_cleanup(handle);
        return NULL;
    }
    return handle;
}

static CURL *take_handle(struct upstream_http *http)
{
    CURL *handle = NULL;
    pthread_mutex_lock(&http->lock);
    if (http->idle_count > 0) {
        handle = http->idle[--http->idle_count];
    }
    pthread_mutex_unlock(&http->lock);
    return handle ? handle : make_handle(http);
}

static void keep_handle(struct upstream_http *http, CURL *handle)
{
    pthread_mutex_lock(&http->lock);
    if (http->idle_count < IDLE_MAX) {
        http->idle[http->idle_count++] = handle;
        handle = NULL;
    }
    pthread_mutex_unlock(&http->lock);
    if (handle) {
        curl_easy_cleanup(handle);
    }
}

/* ---- a call ---- */

struct reading {
    struct upstream_call *call;
    size_t max;
    bool is_too_large;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct reading *reading = ctx;
    struct upstream_call *call = reading->call;
    size_t len = size * count;
    uint8_t *answer = len <= reading->max - call->answer_len
                          ? realloc(call->answer, call->answer_len + len + 1)
                          : NULL;
    if (!answer) {
        reading->is_too_large = true;
        return 0; /* ends the call */
    }
    memcpy(answer + call->answer_len, bytes, len);
    call->answer = answer;
    call->answer_len += len;
    return len;
}

static enum upstream_outcome outcome_of(CURL *handle, CURLcode code, const struct reading *reading)
{
    long status = 0;
    if (reading->is_too_large) {
        return UPSTREAM_UNREADABLE;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return UPSTREAM_TOO_SLOW;
    }
    if (code || curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status)) {
        return UPSTREAM_UNREACHABLE;
    }
    return status >= 200 && status <= 299 ? UPSTREAM_ANSWERED : UPSTREAM_REFUSED;
}

enum upstream_outcome upstream_http_call(struct upstream_http *http, struct upstream_call *call)
{
    struct reading reading = {.call = call, .max = http->answer_bytes};
    CURL *handle = take_handle(http);
    if (!handle || curl_easy_setopt(handle, CURLOPT_POSTFIELDS, call->body) ||
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len) ||
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_bytes) ||
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, &reading)) {
        curl_easy_cleanup(handle);
        return UPSTREAM_UNREACHABLE;
    }
    CURLcode code = curl_easy_perform(handle);
    enum upstream_outcome outcome = outcome_of(handle, code, &reading);
    keep_handle(http, handle);
    return outcome;
}
