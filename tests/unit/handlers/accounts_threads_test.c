/* accounts_threads_test.c - accounts that several threads use at once. */
#include "handlers/accounts.h"
#include "unit/rest/cmocka_all.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

static const struct kj_account_credentials ann = {"ann", "correct horse", "192.0.2.1"};

/* ---- a hash that is another by the time its password is found to be right ---- */

struct login {
    struct kj_accounts *accounts;
    struct kj_account_grant grant;
    enum kj_status status;
};

static void *log_in(void *argument)
{
    struct login *login = argument;
    login->status = kj_accounts_login(login->accounts, &ann, &login->grant);
    return NULL;
}

static void let_hash(struct kj__hasher *hasher, uint32_t running)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->running = running;
    pthread_cond_signal(&hasher->released);
    pthread_mutex_unlock(&hasher->lock);
}

static void wait_for_hasher(struct kj__hasher *hasher)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint32_t waiting = 0;
    while (!waiting) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&hasher->lock);
        waiting = hasher->waiting;
        pthread_mutex_unlock(&hasher->lock);
    }
}

/* Logs in while the account gets a hash of `password`. */
static enum kj_status log_in_meanwhile(const char *password)
{
    const struct kj_accounts_options options = {
        .hash_passes = 1, .hash_memory_kib = 8192, .hashes_at_once = 1};
    struct kj_error error = {0};
    struct kj_accounts *accounts;
    struct kj_account account;
    struct kj__account_row row;
    char hash[KJ__PASSWORD_HASH_SIZE];
    pthread_t thread;
    assert_int_equal(kj_accounts_new(&options, &accounts, &error), KJ_OK);
    struct login login = {.accounts = accounts};
    assert_int_equal(kj_accounts_register(accounts, &ann, &login.grant, &error), KJ_OK);
    let_hash(&accounts->hasher, 1);
    assert_int_equal(pthread_create(&thread, NULL, log_in, &login), 0);
    wait_for_hasher(&accounts->hasher);
    assert_int_equal(crypto_pwhash_str(hash, password, strlen(password), accounts->hasher.passes,
                                       accounts->hasher.memory_bytes),
                     0);
    assert_int_equal(kj__accounts_db_find(&accounts->db, "ann", &row), KJ_OK);
    assert_int_equal(kj__accounts_db_set_password(&accounts->db, &row, hash), KJ_OK);
    let_hash(&accounts->hasher, 0);
    pthread_join(thread, NULL);
    assert_int_equal(kj_accounts_check(accounts, login.grant.token, &account, NULL),
                     login.status ? KJ_ENOTFOUND : KJ_OK);
    kj_accounts_free(accounts);
    return login.status;
}

static void a_password_that_was_hashed_anew_meanwhile_is_the_same(void **state)
{
    (void)state;
    assert_int_equal(log_in_meanwhile("correct horse"), KJ_OK);
    assert_int_equal(log_in_meanwhile("another horse"), KJ_EREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_that_was_hashed_anew_meanwhile_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
