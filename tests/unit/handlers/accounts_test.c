/* accounts_test.c - accounts, their tokens, and how often anyone may guess. */
#include "handlers/accounts.h"
#include "unit/rest/cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/kujata-accounts-XXXXXX";
static char file[64];

/* The cheapest there is. */
static struct kj_accounts *make(struct kj_accounts_options options)
{
    struct kj_accounts *accounts;
    struct kj_error error = {0};
    options.hash_passes = options.hash_passes ? options.hash_passes : 1;
    options.hash_memory_kib = 8192;
    if (kj_accounts_new(&options, &accounts, &error)) {
        fail_msg("%s", error.text);
    }
    return accounts;
}

static enum kj_status enter(struct kj_accounts *accounts, const char *name, const char *password,
                            const char *address, struct kj_account_grant *grant)
{
    return kj_accounts_login(accounts, &(struct kj_account_credentials){name, password, address},
                             grant);
}

static enum kj_status add(struct kj_accounts *accounts, const char *name, const char *password,
                          struct kj_account_grant *grant)
{
    struct kj_error error = {0};
    enum kj_status status = kj_accounts_register(
        accounts, &(struct kj_account_credentials){name, password, "192.0.2.1"}, grant, &error);
    assert_int_equal(*error.text != '\0', status == KJ_EINVAL);
    return status;
}

static enum kj_status check(struct kj_accounts *accounts, const char *token)
{
    struct kj_account account;
    return kj_accounts_check(accounts, token, &account, NULL);
}

static void set_up_file(void)
{
    (void)snprintf(file, sizeof file, "%s/accounts", folder);
    unlink(file);
}

static void who_registers_is_known_by_the_token(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){0});
    struct kj_account_grant first;
    struct kj_account_grant second;
    struct kj_account account;
    int64_t expires_ms;
    assert_int_equal(add(accounts, "Ann", "correct horse", &first), KJ_OK);
    assert_int_equal(strlen(first.token), KJ_ACCOUNT_TOKEN_SIZE - 1);
    assert_int_equal(first.account.id, 1);
    assert_int_equal(kj_accounts_check(accounts, first.token, &account, &expires_ms), KJ_OK);
    assert_string_equal(account.name, "Ann");
    assert_int_equal(expires_ms, first.expires_ms);
    assert_true(expires_ms > kj__accounts_now_ms() + 29LL * 24 * 3600 * 1000);

    assert_int_equal(enter(accounts, "ann", "correct horse", "a", &second), KJ_OK);
    assert_string_equal(second.account.name, "Ann");
    assert_string_not_equal(first.token, second.token);
    assert_int_equal(kj_accounts_logout(accounts, first.token), KJ_OK);
    assert_int_equal(kj_accounts_logout(accounts, first.token), KJ_ENOTFOUND);
    assert_int_equal(check(accounts, first.token), KJ_ENOTFOUND);
    assert_int_equal(check(accounts, second.token), KJ_OK);
    assert_int_equal(check(accounts, ""), KJ_ENOTFOUND);
    second.token[5] = (char)(second.token[5] == 'A' ? 'B' : 'A');
    assert_int_equal(check(accounts, second.token), KJ_ENOTFOUND);
    assert_int_equal(kj_accounts_find(accounts, "ANN", &account), KJ_OK);
    assert_int_equal(kj_accounts_find_id(accounts, 1, &account), KJ_OK);
    assert_int_equal(kj_accounts_find_id(accounts, 2, &account), KJ_ENOTFOUND);
    kj_accounts_free(accounts);
}

static void names_are_unique_and_can_be_told_apart(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ann",
                                      "ann ",
                                      "a\nb",
                                      "a\x7f",
                                      "\xff",
                                      "\xc0\x80",
                                      "\xed\xa0\x80",
                                      "a\xc2\xa0",
                                      "an\xe2\x80\x8bn",
                                      "\xe2\x80\xaenna",
                                      "\xf4\x90\x80\x80",
                                      "\xe2\x82"};
    char name[KJ_ACCOUNT_NAME_MAX + 2] = {0};
    struct kj_accounts *accounts = make((struct kj_accounts_options){0});
    struct kj_account_grant grant;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(add(accounts, bad[i], "password", &grant), KJ_EINVAL);
        assert_int_equal(enter(accounts, bad[i], "password", "a", &grant), KJ_EREFUSED);
    }
    memset(name, 'n', KJ_ACCOUNT_NAME_MAX + 1);
    assert_int_equal(add(accounts, name, "password", &grant), KJ_EINVAL);
    name[KJ_ACCOUNT_NAME_MAX] = '\0';
    assert_int_equal(add(accounts, name, "password", &grant), KJ_OK);
    assert_int_equal(
        add(accounts, "J\xc3\xbcrgen \xe4\xb8\xad\xf0\x9f\x98\x80", "password", &grant), KJ_OK);
    assert_int_equal(
        add(accounts, "j\xc3\xbcrgen \xe4\xb8\xad\xf0\x9f\x98\x80", "password", &grant), KJ_EEXIST);
    kj_accounts_free(accounts);
}

static void passwords_are_bounded(void **state)
{
    (void)state;
    char password[KJ_PASSWORD_MAX + 2] = {0};
    struct kj_accounts *accounts = make((struct kj_accounts_options){0});
    struct kj_account_grant grant;
    assert_int_equal(add(accounts, "ann", "1234567", &grant), KJ_EINVAL);
    memset(password, 'p', KJ_PASSWORD_MAX + 1);
    assert_int_equal(add(accounts, "ann", password, &grant), KJ_EINVAL);
    assert_int_equal(enter(accounts, "ann", password, "a", &grant), KJ_EREFUSED);
    password[KJ_PASSWORD_MAX] = '\0';
    assert_int_equal(add(accounts, "ann", password, &grant), KJ_OK);
    assert_int_equal(enter(accounts, "ann", password, "a", &grant), KJ_OK);
    password[KJ_PASSWORD_MAX - 1] = 'q';
    assert_int_equal(enter(accounts, "ann", password, "a", &grant), KJ_EREFUSED);
    kj_accounts_free(accounts);
}

static void who_guesses_locks_out_himself_alone(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.failed_logins = 3});
    struct kj_account_grant grant;
    add(accounts, "ann", "password", &grant);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(enter(accounts, "ann", "a wrong one", "198.51.100.1", &grant),
                         KJ_EREFUSED);
        assert_int_equal(enter(accounts, "ann", "password", "203.0.113.1", &grant), KJ_OK);
    }
    assert_int_equal(enter(accounts, "ANN", "password", "198.51.100.1", &grant), KJ_ELIMIT);
    assert_in_range(grant.retry_after_s, 1, 60);
    assert_int_equal(enter(accounts, "ann", "password", "203.0.113.1", &grant), KJ_OK);
    /* A name that is not there is limited as one that is. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(enter(accounts, "bob", "a wrong one", "198.51.100.1", &grant),
                         KJ_EREFUSED);
    }
    assert_int_equal(enter(accounts, "bob", "a wrong one", "198.51.100.1", &grant), KJ_ELIMIT);
    /* A network of IPv6 is one guesser. */
    for (int i = 0; i < 3; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "2001:db8::%d", i + 1);
        assert_int_equal(enter(accounts, "ann", "a wrong one", address, &grant), KJ_EREFUSED);
    }
    assert_int_equal(enter(accounts, "ann", "password", "2001:db8::ffff", &grant), KJ_ELIMIT);
    assert_int_equal(enter(accounts, "ann", "password", "2001:db8:0:1::1", &grant), KJ_OK);
    kj_accounts_free(accounts);
}

static void names_guessed_one_after_the_other_count_for_their_address(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.failed_logins = 1});
    struct kj_account_grant grant;
    for (int i = 0; i < 10; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(enter(accounts, name, "password", "198.51.100.1", &grant), KJ_EREFUSED);
    }
    assert_int_equal(enter(accounts, "other", "password", "198.51.100.1", &grant), KJ_ELIMIT);
    assert_int_equal(enter(accounts, "other", "password", "198.51.100.2", &grant), KJ_EREFUSED);
    kj_accounts_free(accounts);
}

static void attempts_come_back_with_time(void **state)
{
    (void)state;
    struct kj__attempts attempts;
    const struct kj__attempt attempt = {KJ__ATTEMPT_LOGIN, "ann", "a", 2, 1000};
    assert_true(sodium_init() >= 0);
    assert_true(kj__attempts_init(&attempts));
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 5000), 0);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 5000), 0);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 5000), 1000);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 5900), 100);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 6000), 0);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 6000), 1000);
    kj__attempts_give_back(&attempts, &attempt);
    assert_int_equal(kj__attempts_take(&attempts, &attempt, 6000), 0);
    kj__attempts_fini(&attempts);
}

static double seconds_of_login(struct kj_accounts *accounts, const char *name)
{
    struct kj_account_grant grant;
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_int_equal(enter(accounts, name, "a wrong one", "a", &grant), KJ_EREFUSED);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void the_time_of_a_refusal_tells_nothing_of_names(void **state)
{
    (void)state;
    enum { TIMES = 8 };
    struct kj_accounts *accounts = make(
        (struct kj_accounts_options){.failed_logins = 1000, .hash_passes = 3});
    struct kj_account_grant grant;
    double known = 0;
    double unknown = 0;
    add(accounts, "ann", "password", &grant);
    for (int i = 0; i < TIMES; i++) {
        known += seconds_of_login(accounts, "ann");
        unknown += seconds_of_login(accounts, "bob");
    }
    print_message("a known name %.1f ms, an unknown one %.1f ms\n", known / TIMES * 1000,
                  unknown / TIMES * 1000);
    assert_true(known < 2 * unknown && unknown < 2 * known);
    kj_accounts_free(accounts);
}

static void hashes_under_way_are_bounded(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.failed_logins = 1});
    struct kj_account_grant grant;
    accounts->hasher.running = accounts->hasher.at_once;
    accounts->hasher.waiting = accounts->hasher.waiting_max;
    assert_int_equal(add(accounts, "ann", "password", &grant), KJ_EFULL);
    assert_int_equal(grant.retry_after_s, 1);
    assert_int_equal(enter(accounts, "ann", "password", "a", &grant), KJ_EFULL);
    accounts->hasher.running = 0;
    accounts->hasher.waiting = 0;
    /* That was no guess. */
    assert_int_equal(add(accounts, "ann", "password", &grant), KJ_OK);
    assert_int_equal(enter(accounts, "ann", "password", "a", &grant), KJ_OK);
    assert_int_equal(accounts->numbers.busy, 2);
    kj_accounts_free(accounts);
}

/* What the server would have been told. */
static struct {
    uint64_t credentials[16];
    size_t count;
} ended;

static size_t note_end(void *server, uint64_t credential)
{
    (void)server;
    ended.credentials[ended.count++] = credential;
    return 1;
}

static uint64_t credential_of(const char *token)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    assert_true(kj__account_hash_token(token, hash));
    return kj__account_credential(hash);
}

static void a_new_token_ends_the_oldest(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.tokens_per_account = 3});
    struct kj_account_grant grants[4];
    struct kj_account_grant other;
    accounts->end_sessions = note_end;
    ended.count = 0;
    add(accounts, "bob", "password", &other);
    add(accounts, "ann", "password", &grants[0]);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(enter(accounts, "ann", "password", "a", &grants[i]), KJ_OK);
    }
    assert_int_equal(check(accounts, grants[0].token), KJ_ENOTFOUND);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(check(accounts, grants[i].token), KJ_OK);
    }
    assert_int_equal(check(accounts, other.token), KJ_OK);
    assert_int_equal(ended.count, 1);
    assert_true(ended.credentials[0] == credential_of(grants[0].token));
    assert_int_equal(kj_accounts_logout(accounts, grants[1].token), KJ_OK);
    assert_int_equal(ended.count, 2);
    assert_true(ended.credentials[1] == credential_of(grants[1].token));
    kj_accounts_free(accounts);
}

static void one_login_ends_the_others(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.one_login = true});
    struct kj_account_grant first;
    struct kj_account_grant second;
    add(accounts, "ann", "password", &first);
    assert_int_equal(enter(accounts, "ann", "password", "a", &second), KJ_OK);
    assert_int_equal(check(accounts, first.token), KJ_ENOTFOUND);
    assert_int_equal(check(accounts, second.token), KJ_OK);
    kj_accounts_free(accounts);
}

static enum kj_status change(struct kj_accounts *accounts, const char *token, const char *old,
                             const char *password)
{
    uint32_t retry_after_s;
    struct kj_error error;
    return kj_accounts_change_password(
        accounts, token, &(struct kj_account_credentials){.password = old, .address = "a"},
        password, &retry_after_s, &error);
}

static void a_changed_password_ends_the_other_tokens(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.failed_logins = 2});
    struct kj_account_grant first;
    struct kj_account_grant second;
    accounts->end_sessions = note_end;
    ended.count = 0;
    add(accounts, "ann", "password", &first);
    assert_int_equal(enter(accounts, "ann", "password", "a", &second), KJ_OK);
    assert_int_equal(change(accounts, "none", "password", "new password"), KJ_ENOTFOUND);
    assert_int_equal(change(accounts, second.token, "password", "short"), KJ_EINVAL);
    assert_int_equal(change(accounts, second.token, "", "new password"), KJ_EREFUSED);
    assert_int_equal(change(accounts, second.token, "a wrong one", "new password"), KJ_EREFUSED);
    assert_int_equal(change(accounts, second.token, "password", "new password"), KJ_OK);
    assert_int_equal(check(accounts, first.token), KJ_ENOTFOUND);
    assert_int_equal(check(accounts, second.token), KJ_OK);
    assert_int_equal(ended.count, 1);
    assert_int_equal(enter(accounts, "ann", "password", "a", &first), KJ_EREFUSED);
    /* It is guessed at as slowly as at a login. */
    assert_int_equal(change(accounts, second.token, "password", "newer password"), KJ_ELIMIT);
    assert_int_equal(enter(accounts, "ann", "new password", "b", &first), KJ_OK);
    kj_accounts_free(accounts);
}

static void tokens_run_out(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make((struct kj_accounts_options){.token_lifetime_s = 1});
    struct kj_account_grant grant;
    add(accounts, "ann", "password", &grant);
    struct timespec moment = {0, 5000000};
    for (int waited = 0; check(accounts, grant.token) == KJ_OK; waited++) {
        assert_true(waited < 2000);
        nanosleep(&moment, NULL);
    }
    assert_true(kj__accounts_now_ms() >= grant.expires_ms);
    kj_accounts_free(accounts);
}

static void registrations_are_bounded(void **state)
{
    (void)state;
    struct kj_accounts *accounts = make(
        (struct kj_accounts_options){.registrations = 3, .accounts = 2});
    struct kj_account_grant grant;
    assert_int_equal(add(accounts, "ann", "password", &grant), KJ_OK);
    assert_int_equal(add(accounts, "bob", "password", &grant), KJ_OK);
    assert_int_equal(add(accounts, "cid", "password", &grant), KJ_ECLOSED);
    assert_int_equal(add(accounts, "cid", "password", &grant), KJ_ELIMIT);
    assert_true(grant.retry_after_s > 0);
    kj_accounts_free(accounts);
}

/* ---- files ---- */

static bool file_holds(const char *text)
{
    static char bytes[1 << 20];
    char log[80];
    bool is_there = false;
    (void)snprintf(log, sizeof log, "%s-wal", file);
    const char *const names[] = {file, log};
    for (size_t i = 0; i < 2; i++) {
        int fd = open(names[i], O_RDONLY | O_CLOEXEC);
        ssize_t len = fd >= 0 ? read(fd, bytes, sizeof bytes) : 0;
        is_there |= len > 0 && memmem(bytes, (size_t)len, text, strlen(text)) != NULL;
        if (fd >= 0) {
            close(fd);
        }
    }
    return is_there;
}

static void a_file_keeps_accounts_but_no_secrets(void **state)
{
    (void)state;
    set_up_file();
    struct kj_accounts *accounts = make((struct kj_accounts_options){.path = file});
    struct kj_account_grant grant;
    assert_int_equal(add(accounts, "ann-is-here", "correct horse battery", &grant), KJ_OK);
    assert_true(file_holds("ann-is-here"));
    assert_true(file_holds("$argon2id$v=19$m=8192,t=1,p=1$"));
    assert_false(file_holds("correct horse battery"));
    assert_false(file_holds(grant.token));
    kj_accounts_free(accounts);

    accounts = make((struct kj_accounts_options){.path = file, .hash_passes = 2});
    assert_int_equal(check(accounts, grant.token), KJ_OK);
    assert_int_equal(enter(accounts, "ann-is-here", "correct horse battery", "a", &grant), KJ_OK);
    assert_true(file_holds("$argon2id$v=19$m=8192,t=2,p=1$"));
    assert_int_equal(enter(accounts, "ann-is-here", "correct horse battery", "a", &grant), KJ_OK);

    /* Another process ends the token. */
    struct kj_accounts *other = make((struct kj_accounts_options){.path = file});
    assert_int_equal(kj_accounts_logout(other, grant.token), KJ_OK);
    assert_int_equal(check(accounts, grant.token), KJ_ENOTFOUND);
    kj_accounts_free(other);
    kj_accounts_free(accounts);
}

static enum kj_status try_open(void)
{
    struct kj_accounts *accounts;
    struct kj_error error = {0};
    enum kj_status status = kj_accounts_new(
        &(struct kj_accounts_options){.path = file, .hash_memory_kib = 8192}, &accounts, &error);
    assert_non_null(strstr(error.text, file));
    assert_null(accounts);
    return status;
}

static void execute(const char *sql)
{
    sqlite3 *sqlite;
    assert_int_equal(sqlite3_open(file, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
}

static void a_password_changes_with_its_tokens_or_not_at_all(void **state)
{
    (void)state;
    set_up_file();
    struct kj_accounts *accounts = make((struct kj_accounts_options){.path = file});
    struct kj_account_grant first;
    struct kj_account_grant second;
    add(accounts, "ann", "password", &first);
    assert_int_equal(enter(accounts, "ann", "password", "a", &second), KJ_OK);
    execute("CREATE TRIGGER held BEFORE DELETE ON tokens BEGIN SELECT raise(ABORT, 'held'); END");
    assert_int_not_equal(change(accounts, second.token, "password", "new password"), KJ_OK);
    assert_int_equal(check(accounts, first.token), KJ_OK);
    execute("DROP TRIGGER held");
    assert_int_equal(change(accounts, second.token, "password", "new password"), KJ_OK);
    assert_int_equal(check(accounts, first.token), KJ_ENOTFOUND);
    kj_accounts_free(accounts);
}

static void a_hash_that_cannot_be_looked_at_is_no_wrong_password(void **state)
{
    (void)state;
    set_up_file();
    struct kj_accounts *accounts = make(
        (struct kj_accounts_options){.path = file, .failed_logins = 1});
    struct kj_account_grant grant;
    add(accounts, "ann", "password", &grant);
    execute("UPDATE accounts SET password = '$argon2id$v=19$damaged'");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(enter(accounts, "ann", "password", "a", &grant), KJ_EIO);
    }
    assert_int_equal(atomic_load(&accounts->numbers.failed), 2);
    assert_int_equal(atomic_load(&accounts->numbers.refused), 0);
    kj_accounts_free(accounts);
}

static void files_of_others_are_left_alone(void **state)
{
    (void)state;
    set_up_file();
    execute("CREATE TABLE theirs(a)");
    assert_int_equal(try_open(), KJ_EPARSE);
    set_up_file();
    kj_accounts_free(make((struct kj_accounts_options){.path = file}));
    execute("PRAGMA user_version = 99");
    assert_int_equal(try_open(), KJ_EUNSUPPORTED);
    set_up_file();
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "this is no database, whatever else it may be", 44), 44);
    close(fd);
    assert_int_equal(try_open(), KJ_EPARSE);
    unlink(file);
    (void)snprintf(file, sizeof file, "%s/no/such", folder);
    assert_int_equal(try_open(), KJ_EIO);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    struct kj_accounts *accounts;
    struct kj_error error = {0};
    assert_int_equal(
        kj_accounts_new(&(struct kj_accounts_options){.hash_memory_kib = 1024}, &accounts, &error),
        KJ_EINVAL);
    assert_non_null(strstr(error.text, "hash_memory_kib"));
    assert_int_equal(kj_accounts_new(&(struct kj_accounts_options){.tokens_per_account = 257},
                                     &accounts, &error),
                     KJ_EINVAL);
    assert_non_null(strstr(error.text, "tokens_per_account"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_registers_is_known_by_the_token),
        cmocka_unit_test(names_are_unique_and_can_be_told_apart),
        cmocka_unit_test(passwords_are_bounded),
        cmocka_unit_test(who_guesses_locks_out_himself_alone),
        cmocka_unit_test(names_guessed_one_after_the_other_count_for_their_address),
        cmocka_unit_test(attempts_come_back_with_time),
        cmocka_unit_test(the_time_of_a_refusal_tells_nothing_of_names),
        cmocka_unit_test(hashes_under_way_are_bounded),
        cmocka_unit_test(a_new_token_ends_the_oldest),
        cmocka_unit_test(one_login_ends_the_others),
        cmocka_unit_test(a_changed_password_ends_the_other_tokens),
        cmocka_unit_test(tokens_run_out),
        cmocka_unit_test(registrations_are_bounded),
        cmocka_unit_test(a_file_keeps_accounts_but_no_secrets),
        cmocka_unit_test(a_password_changes_with_its_tokens_or_not_at_all),
        cmocka_unit_test(a_hash_that_cannot_be_looked_at_is_no_wrong_password),
        cmocka_unit_test(files_of_others_are_left_alone),
        cmocka_unit_test(bad_options_are_named),
    };
    if (!mkdtemp(folder)) {
        return EXIT_FAILURE;
    }
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 && failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
