/* auth_tokens.c - see kujata/auth.h.
 *
 * What is kept of a token is a keyed hash of its SHA-256, under a key nobody outside can know: the
 * time a look-up takes says nothing of the tokens, and memory does not hold them.
 */
#include "handlers/auth_caller.h"
#include "handlers/file.h"

#include <kujata/auth.h>
#include <kujata/log.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 16 * 1024 * 1024,
    TOKENS_MAX = 100000,
    CLAIMS_MAX = 64, /* of one token */
    HASH_SIZE = SHA256_DIGEST_LENGTH,
};

static const char hash_prefix[] = "sha256:";

struct token {
    unsigned char hash[HASH_SIZE];
    size_t first_claim, claim_count; /* in the table's claims */
};

/* What one reading of the file gave; never changed afterwards. */
struct table {
    _Atomic unsigned refs;
    struct token *tokens; /* sorted by hash */
    size_t token_count;
    const char **claims; /* pointers into `text` */
    size_t claim_count;
    char *text; /* the file, its tokens wiped, cut into strings */
    size_t text_len;
};

struct kj_auth_tokens {
    char *file;
    bool others_follow;
    unsigned char key[HASH_SIZE];
    pthread_mutex_t lock;
    struct table *table; /* guarded by it; a reference */
};

/* ---- tables ---- */

static void unref_table(struct table *table)
{
    if (table && atomic_fetch_sub(&table->refs, 1) == 1) {
        kj__file_free(table->text, table->text_len);
        free(table->claims);
        free(table->tokens);
        free(table);
    }
}

static struct table *ref_table(struct kj_auth_tokens *tokens)
{
    pthread_mutex_lock(&tokens->lock);
    struct table *table = tokens->table;
    atomic_fetch_add(&table->refs, 1);
    pthread_mutex_unlock(&tokens->lock);
    return table;
}

static bool hash_digest(const struct kj_auth_tokens *tokens, const unsigned char digest[HASH_SIZE],
                        unsigned char hash[HASH_SIZE])
{
    return HMAC(EVP_sha256(), tokens->key, sizeof tokens->key, digest, HASH_SIZE, hash, NULL);
}

static bool hash_token(const struct kj_auth_tokens *tokens, const char *token, size_t len,
                       unsigned char hash[HASH_SIZE])
{
    unsigned char digest[HASH_SIZE];
    return SHA256((const unsigned char *)token, len, digest) && hash_digest(tokens, digest, hash);
}

static int compare_tokens(const void *a, const void *b)
{
    return memcmp(((const struct token *)a)->hash, ((const struct token *)b)->hash, HASH_SIZE);
}

/* ---- reading ---- */

/* A reading under way. */
struct reading {
    struct kj_auth_tokens *tokens;
    struct table *table;
    size_t token_room, claim_room, line;
    struct kj_error *error;
};

static enum kj_status fail(const struct reading *reading, enum kj_status status, const char *fault)
{
    kj_error_set(reading->error, 0, "%s: line %zu: %s", reading->tokens->file, reading->line,
                 fault);
    return status;
}

/* Makes room for one more item of `size` bytes. */
static bool make_room(void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return true;
    }
    size_t wanted = *room ? *room * 2 : 16;
    void *grown = realloc(*items, wanted * size);
    if (grown) {
        *items = grown;
        *room = wanted;
    }
    return grown != NULL;
}

static int digit_of(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, size_t len, unsigned char digest[HASH_SIZE])
{
    if (len != 2 * (size_t)HASH_SIZE) {
        return false;
    }
    for (size_t i = 0; i < HASH_SIZE; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static enum kj_status take_token(struct reading *reading, const char *text, size_t len)
{
    struct table *table = reading->table;
    if (table->token_count == TOKENS_MAX) {
        return fail(reading, KJ_ELIMIT, "more than 100000 tokens");
    }
    if (len > KJ_AUTH_TOKEN_MAX) {
        return fail(reading, KJ_ELIMIT, "a token of more than 16384 bytes");
    }
    if (!make_room((void **)&table->tokens, table->token_count, &reading->token_room,
                   sizeof *table->tokens)) {
        return fail(reading, KJ_ENOMEM, "no memory");
    }
    struct token *token = &table->tokens[table->token_count];
    *token = (struct token){.first_claim = table->claim_count};
    size_t prefix = strlen(hash_prefix);
    bool is_hashed = len > prefix && memcmp(text, hash_prefix, prefix) == 0;
    unsigned char digest[HASH_SIZE];
    if (is_hashed && !parse_digest(text + prefix, len - prefix, digest)) {
        return fail(reading, KJ_EPARSE, "sha256: needs 64 hexadecimal digits");
    }
    if (!(is_hashed ? hash_digest(reading->tokens, digest, token->hash)
                    : hash_token(reading->tokens, text, len, token->hash))) {
        return fail(reading, KJ_ENOMEM, "the token cannot be hashed");
    }
    table->token_count++;
    return KJ_OK;
}

static enum kj_status take_claim(struct reading *reading, const char *claim)
{
    struct table *table = reading->table;
    struct token *token = &table->tokens[table->token_count - 1];
    const char *equals = strchr(claim, '=');
    if (!equals || equals == claim || !equals[1]) {
        return fail(reading, KJ_EPARSE, "behind the token come claims of the form key=value");
    }
    if (token->claim_count == CLAIMS_MAX) {
        return fail(reading, KJ_ELIMIT, "more than 64 claims");
    }
    if (!make_room((void **)&table->claims, table->claim_count, &reading->claim_room,
                   sizeof *table->claims)) {
        return fail(reading, KJ_ENOMEM, "no memory");
    }
    table->claims[table->claim_count++] = claim;
    token->claim_count++;
    return KJ_OK;
}

/* Cuts a line into its words: the token, which is wiped, and the claims. */
static enum kj_status read_line(struct reading *reading, char *line)
{
    static const char blank[] = " \t\r";
    char *rest = NULL;
    char *word = strtok_r(line, blank, &rest);
    if (!word || *word == '#') {
        return KJ_OK;
    }
    size_t len = strlen(word);
    enum kj_status status = take_token(reading, word, len);
    OPENSSL_cleanse(word, len);
    while (!status && (word = strtok_r(NULL, blank, &rest))) {
        status = take_claim(reading, word);
    }
    return status;
}

static enum kj_status read_lines(struct reading *reading)
{
    struct table *table = reading->table;
    char *at = table->text;
    char *end = at + table->text_len;
    enum kj_status status = KJ_OK;
    while (!status && at < end) {
        char *line = at;
        char *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed ? feed + 1 : end;
        reading->line++;
        if (memchr(line, '\0', (size_t)((feed ? feed : end) - line))) {
            return fail(reading, KJ_EPARSE, "holds a NUL");
        }
        if (feed) {
            *feed = '\0';
        }
        status = read_line(reading, line);
    }
    return status;
}

static enum kj_status check_repeats(struct reading *reading)
{
    struct table *table = reading->table;
    if (table->token_count) {
        qsort(table->tokens, table->token_count, sizeof *table->tokens, compare_tokens);
    }
    for (size_t i = 1; i < table->token_count; i++) {
        if (compare_tokens(&table->tokens[i - 1], &table->tokens[i]) == 0) {
            kj_error_set(reading->error, 0, "%s: a token is there twice", reading->tokens->file);
            return KJ_EPARSE;
        }
    }
    return KJ_OK;
}

enum kj_status kj_auth_tokens_reload(struct kj_auth_tokens *tokens, struct kj_error *error)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table) {
        kj_error_set(error, 0, "no memory for the tokens");
        return KJ_ENOMEM;
    }
    atomic_init(&table->refs, 1);
    struct reading reading = {.tokens = tokens, .table = table, .error = error};
    enum kj_status status = kj__file_read(tokens->file, FILE_MAX, &table->text, &table->text_len,
                                          error);
    status = status ? status : read_lines(&reading);
    status = status ? status : check_repeats(&reading);
    if (status) {
        unref_table(table);
        return status;
    }
    pthread_mutex_lock(&tokens->lock);
    struct table *old = tokens->table;
    bool is_empty = table->token_count == 0;
    tokens->table = table;
    pthread_mutex_unlock(&tokens->lock);
    unref_table(old);
    if (is_empty) {
        kj_log(KJ_LOG_WARNING, "auth", "there is no token in %s: it lets nobody in", tokens->file);
    }
    return KJ_OK;
}

/* ---- life ---- */

enum kj_status kj_auth_tokens_new(const struct kj_auth_tokens_options *options,
                                  struct kj_auth_tokens **tokens, struct kj_error *error)
{
    *tokens = NULL;
    if (!options->file) {
        kj_error_set(error, 0, "option file: the file with the tokens is needed");
        return KJ_EINVAL;
    }
    struct kj_auth_tokens *made = calloc(1, sizeof *made);
    if (!made) {
        kj_error_set(error, 0, "no memory for the tokens");
        return KJ_ENOMEM;
    }
    pthread_mutex_init(&made->lock, NULL);
    made->others_follow = options->others_follow;
    made->file = strdup(options->file);
    enum kj_status status = KJ_OK;
    if (!made->file || RAND_bytes(made->key, sizeof made->key) != 1) {
        kj_error_set(error, 0, "no memory or no randomness for the tokens");
        status = KJ_ENOMEM;
    }
    status = status ? status : kj_auth_tokens_reload(made, error);
    if (status) {
        kj_auth_tokens_free(made);
        return status;
    }
    *tokens = made;
    return KJ_OK;
}

void kj_auth_tokens_free(struct kj_auth_tokens *tokens)
{
    if (tokens) {
        unref_table(tokens->table);
        pthread_mutex_destroy(&tokens->lock);
        free(tokens->file);
        OPENSSL_cleanse(tokens->key, sizeof tokens->key);
        free(tokens);
    }
}

/* ---- asking ---- */

static enum kj_auth accept(const struct kj__caller *caller, const struct table *table,
                           const struct token *token)
{
    const char *const *claims = token->claim_count ? &table->claims[token->first_claim] : NULL;
    return kj__caller_accept(caller, claims, token->claim_count, 0);
}

static enum kj_auth authenticate(struct kj_auth_tokens *tokens, const struct kj__caller *caller)
{
    const char *text = kj__caller_token(caller);
    size_t len = text ? strnlen(text, KJ_AUTH_TOKEN_MAX + 1) : 0;
    struct token wanted;
    if (len == 0 || len > KJ_AUTH_TOKEN_MAX || !hash_token(tokens, text, len, wanted.hash)) {
        return kj__caller_pass_on(caller, tokens->others_follow);
    }
    struct table *table = ref_table(tokens);
    const struct token *found = table->token_count
                                    ? bsearch(&wanted, table->tokens, table->token_count,
                                              sizeof wanted, compare_tokens)
                                    : NULL;
    enum kj_auth verdict = found ? accept(caller, table, found)
                                 : kj__caller_pass_on(caller, tokens->others_follow);
    unref_table(table);
    return verdict;
}

static enum kj_auth authenticate_request(struct kj_context *context, void *ctx)
{
    return authenticate(ctx, &(struct kj__caller){.context = context});
}

static enum kj_auth authenticate_session(struct kj_session *session, struct kj_error *error,
                                         void *ctx)
{
    return authenticate(ctx, &(struct kj__caller){.session = session, .error = error});
}

struct kj_request_authenticator kj_auth_tokens_request(struct kj_auth_tokens *tokens)
{
    return (struct kj_request_authenticator){.authenticate = authenticate_request, .ctx = tokens};
}

struct kj_session_authenticator kj_auth_tokens_session(struct kj_auth_tokens *tokens)
{
    return (struct kj_session_authenticator){.authenticate = authenticate_session, .ctx = tokens};
}
