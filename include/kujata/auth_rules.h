/* auth_rules.h - a ready authorizer: a file says which claims may do what with which identities.
 *
 *     {"rules": [
 *         {"claims": ["role=admin"]},
 *         {"claims": ["sub=*"], "operations": ["retrieve", "retrieve-many", "info"],
 *          "identities": ["task", "list"]}
 *     ]}
 *
 * A rule allows its operations on its identities to who has every one of its claims; "key=*" means
 * any value of that key. A member that is absent means all. What no rule allows is refused. A
 * session gets the events of the identities it may `retrieve`.
 */
#ifndef KUJATA_AUTH_RULES_H
#define KUJATA_AUTH_RULES_H

#include <kujata/error.h>
#include <kujata/handlers.h>
#include <kujata/model.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>

struct kj_auth_rules;

struct kj_auth_rules_options {
    const char *file;             /* required; copied; at most 1,024 rules in 1 MiB */
    const struct kj_model *model; /* identities it lacks are faults; NULL: not checked; borrowed */
};

/* KJ_EIO, KJ_EPARSE or KJ_ELIMIT with `error` naming file and rule. */
enum kj_status kj_auth_rules_new(const struct kj_auth_rules_options *options,
                                 struct kj_auth_rules **rules, struct kj_error *error);

/* Reads the file again. What was in force stays after a failure.                [any thread] */
enum kj_status kj_auth_rules_reload(struct kj_auth_rules *rules, struct kj_error *error);

/* After the servers that use it. NULL is fine. */
void kj_auth_rules_free(struct kj_auth_rules *rules);

/* Whether somebody with these claims may do this.                      [any thread] */
bool kj_auth_rules_allow(const struct kj_auth_rules *rules, const char *const *claims, size_t count,
                         enum kj_operation operation, const char *identity);

/* Whether a session may `retrieve` what the event is about.       [the session's thread] */
bool kj_auth_rules_may_hear(const struct kj_auth_rules *rules, const struct kj_session *session,
                            const struct kj_event *event);

/* For kj_server_options: of REST calls, and of events for sessions. The second makes the server ask
 * for each event and session, which costs more than filters do. */
struct kj_authorizer kj_auth_rules_authorizer(struct kj_auth_rules *rules);
struct kj_dispatch_handler kj_auth_rules_dispatch(struct kj_auth_rules *rules);

#endif
