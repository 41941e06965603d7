/* namespaces.h - who hears of an object by where it lives: a ready-made dispatch handler.
 *
 * Namespaces form a tree: "/", "/a", "/a/b". An object says in an attribute in which it lives, a
 * session in the parameter `namespace` of its URL. A session gets events of objects
 *
 *   - of its own namespace,
 *   - of those below, with `mode=all` in its URL,
 *   - of those above, when the object propagates and that is not hidden,
 *
 * and the deletion of its own namespace or of one that lives above, come what may. Push configs
 * do not change a session's namespace or mode. An event without a namespace goes to nobody: it is
 * counted as one whose summary failed.
 *
 * A session that must be asked for each event is written to on its own: what many sessions that
 * asked for the same share otherwise (docs/architecture.md, "Who gets an event") they do not
 * share here.
 */
#ifndef KUJATA_NAMESPACES_H
#define KUJATA_NAMESPACES_H

#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/handlers.h>
#include <kujata/session.h>
#include <kujata/status.h>
#include <stdbool.h>

enum kj_namespace_relation {
    KJ_NAMESPACE_UNRELATED = 0, /* also when either is not a namespace */
    KJ_NAMESPACE_SAME,
    KJ_NAMESPACE_ABOVE,
    KJ_NAMESPACE_BELOW,
};

/* What the first is to the second: "/a" is above "/a/b" and "/a/b/c", "/ab" is nothing to
 * "/a".                                                                [any thread] */
enum kj_namespace_relation kj_namespace_relation(const char *first, const char *second);

/* Whether a name is "/", or words with a slash before each.            [any thread] */
bool kj_namespace_is_valid(const char *name);

/* NULL means the default given. Strings are copied. */
struct kj_namespaces_options {
    const char *namespace_attribute; /* where an object lives; "namespace" */
    const char *propagate_attribute; /* true: seen below too; "propagate" */
    const char *hidden_attribute;    /* true: nevertheless not; "propagationHidden" */
    const char *identity;            /* of the objects that are namespaces; "namespace" */
    const char *name_attribute;      /* of such an object: its whole name; "name" */

    /* HTTP worker: whether a session may have this namespace; false refuses it as on_session_init
     * does. Default: true. */
    bool (*admits)(struct kj_session *session, const char *name, struct kj_error *error, void *ctx);

    /* Shard thread: asked last, for what the rules let through; must not block. Not asked for the
     * deletion of namespaces. Default: true. */
    bool (*allows)(struct kj_session *session, const struct kj_event *event, void *ctx);
    void *ctx;
};

struct kj_namespaces;

/* `options` may be NULL. KJ_ENOMEM. */
enum kj_status kj_namespaces_new(const struct kj_namespaces_options *options,
                                 struct kj_namespaces **namespaces);

/* For kj_server_options.dispatch. */
struct kj_dispatch_handler kj_namespaces_handler(struct kj_namespaces *namespaces);

/* After the server. NULL is fine. */
void kj_namespaces_free(struct kj_namespaces *namespaces);

#endif
