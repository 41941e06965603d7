/* auth_rules.c - see kujata/auth_rules.h. */
#include "handlers/file.h"
#include "handlers/writers_first.h"

#include <kujata/auth_rules.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1024 * 1024, RULES_MAX = 1024, ITEMS_MAX = 64 };

/* Strings are the document's. */
struct rule {
    const char *claims[ITEMS_MAX + 1]; /* NULL at the end, as below */
    const char *identities[ITEMS_MAX + 1];
    bool any_identity;
    unsigned operations; /* bits of enum kj_operation */
};

/* What one reading of the file gave; never changed afterwards. */
struct table {
    json_t *document;
    size_t count;
    struct rule rules[];
};

struct kj_auth_rules {
    char *file;
    const struct kj_model *model;
    pthread_rwlock_t lock; /* held to read while somebody looks at a table */
    struct table *table;   /* guarded by it */
};

static void free_table(struct table *table)
{
    if (table) {
        json_decref(table->document);
        free(table);
    }
}

/* ---- reading ---- */

/* A reading under way. */
struct reading {
    const struct kj_auth_rules *rules;
    size_t number; /* of the rule, from 1 */
    struct kj_error *error;
};

static enum kj_status fail(const struct reading *reading, const char *fault, const char *what)
{
    kj_error_set(reading->error, 0, "%s: rule %zu: %s%s%.100s%s", reading->rules->file,
                 reading->number, fault, what ? " \"" : "", what ? what : "", what ? "\"" : "");
    return KJ_EPARSE;
}

/* The texts of a list; an absent one gives none. */
static enum kj_status read_list(const struct reading *reading, const json_t *list,
                                const char *texts[ITEMS_MAX + 1])
{
    size_t count = json_array_size(list);
    if (list && (count == 0 || count > ITEMS_MAX)) {
        return fail(reading, "claims, operations and identities are lists of 1 to 64 texts", NULL);
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        if (!texts[i]) {
            return fail(reading, "claims, operations and identities hold texts", NULL);
        }
    }
    return KJ_OK;
}

static enum kj_status read_operations(const struct reading *reading, const json_t *list,
                                      unsigned *operations)
{
    const char *names[ITEMS_MAX + 1] = {NULL};
    enum kj_status status = read_list(reading, list, names);
    *operations = list ? 0 : KJ_OP_ALL;
    for (size_t i = 0; !status && names[i]; i++) {
        unsigned found = 0;
        for (unsigned bit = 1; bit & KJ_OP_ALL; bit <<= 1) {
            found |= strcmp(kj_operation_name((enum kj_operation)bit), names[i]) == 0 ? bit : 0;
        }
        if (!found) {
            return fail(reading, "there is no operation", names[i]);
        }
        *operations |= found;
    }
    return status;
}

static enum kj_status check_names(const struct reading *reading, const struct rule *rule)
{
    for (size_t i = 0; rule->claims[i]; i++) {
        const char *equals = strchr(rule->claims[i], '=');
        if (!equals || equals == rule->claims[i] || !equals[1]) {
            return fail(reading, "a claim is key=value or key=*, not", rule->claims[i]);
        }
    }
    const struct kj_model *model = reading->rules->model;
    for (size_t i = 0; model && rule->identities[i]; i++) {
        if (!kj_model_identity(model, rule->identities[i])) {
            return fail(reading, "the model has no identity", rule->identities[i]);
        }
    }
    return KJ_OK;
}

/* A member nobody knows may be one that was to make the rule narrower. */
static enum kj_status check_members(const struct reading *reading, const json_t *object)
{
    static const char *const known[] = {"claims", "operations", "identities"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            is_known |= strcmp(known[i], name) == 0;
        }
        if (!is_known) {
            return fail(reading, "there is no member", name);
        }
    }
    return json_is_object(object) ? KJ_OK : fail(reading, "is no object", NULL);
}

static enum kj_status read_rule(const struct reading *reading, const json_t *object,
                                struct rule *rule)
{
    const json_t *identities = json_object_get(object, "identities");
    rule->any_identity = !identities;
    enum kj_status status = check_members(reading, object);
    if (!status) {
        status = read_list(reading, json_object_get(object, "claims"), rule->claims);
    }
    if (!status) {
        status = read_list(reading, identities, rule->identities);
    }
    if (!status) {
        status = read_operations(reading, json_object_get(object, "operations"), &rule->operations);
    }
    return status ? status : check_names(reading, rule);
}

/* Takes the document. */
static enum kj_status make_table(const struct kj_auth_rules *rules, json_t *document,
                                 struct table **made, struct kj_error *error)
{
    struct reading reading = {.rules = rules, .error = error};
    const json_t *list = json_object_get(document, "rules");
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > RULES_MAX || json_object_size(document) != 1) {
        kj_error_set(error, 0, "%s: is no object with a list of at most 1024 \"rules\"",
                     rules->file);
        json_decref(document);
        return KJ_EPARSE;
    }
    struct table *table = calloc(1, sizeof *table + count * sizeof *table->rules);
    if (!table) {
        kj_error_set(error, 0, "%s: no memory for the rules", rules->file);
        json_decref(document);
        return KJ_ENOMEM;
    }
    table->document = document;
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        reading.number = i + 1;
        enum kj_status status = read_rule(&reading, json_array_get(list, i), &table->rules[i]);
        if (status) {
            json_decref(document);
            free(table);
            return status;
        }
    }
    *made = table;
    return KJ_OK;
}

enum kj_status kj_auth_rules_reload(struct kj_auth_rules *rules, struct kj_error *error)
{
    char *text;
    size_t len;
    enum kj_status status = kj__file_read(rules->file, FILE_MAX, &text, &len, error);
    if (status) {
        return status;
    }
    json_error_t where;
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    kj__file_free(text, len);
    if (!document) {
        kj_error_set(error, 0, "%s: line %d: %s", rules->file, where.line, where.text);
        return KJ_EPARSE;
    }
    struct table *table;
    status = make_table(rules, document, &table, error);
    if (status) {
        return status;
    }
    pthread_rwlock_wrlock(&rules->lock);
    struct table *old = rules->table;
    rules->table = table;
    pthread_rwlock_unlock(&rules->lock);
    free_table(old);
    return KJ_OK;
}

/* ---- life ---- */

enum kj_status kj_auth_rules_new(const struct kj_auth_rules_options *options,
                                 struct kj_auth_rules **rules, struct kj_error *error)
{
    *rules = NULL;
    if (!options->file) {
        kj_error_set(error, 0, "option file: the file with the rules is needed");
        return KJ_EINVAL;
    }
    struct kj_auth_rules *made = calloc(1, sizeof *made);
    if (made) {
        kj__writers_first_init(&made->lock);
        made->model = options->model;
        made->file = strdup(options->file);
    }
    if (!made || !made->file) {
        kj_error_set(error, 0, "no memory for the rules");
        kj_auth_rules_free(made);
        return KJ_ENOMEM;
    }
    enum kj_status status = kj_auth_rules_reload(made, error);
    if (status) {
        kj_auth_rules_free(made);
        return status;
    }
    *rules = made;
    return KJ_OK;
}

void kj_auth_rules_free(struct kj_auth_rules *rules)
{
    if (!rules) {
        return;
    }
    free_table(rules->table);
    pthread_rwlock_destroy(&rules->lock);
    free(rules->file);
    free(rules);
}

/* ---- asking ---- */

static bool has_claim(const char *const *claims, size_t count, const char *wanted)
{
    const char *value = strchr(wanted, '=') + 1;
    size_t len = strcmp(value, "*") == 0 ? (size_t)(value - wanted) : strlen(wanted) + 1;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(claims[i], wanted, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_on_list(const char *const *list, const char *text)
{
    for (; *list; list++) {
        if (strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool allows(const struct table *table, const char *const *claims, size_t count,
                   enum kj_operation operation, const char *identity)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct rule *rule = &table->rules[i];
        bool applies = (rule->operations & (unsigned)operation) &&
                       (rule->any_identity || is_on_list(rule->identities, identity));
        for (size_t j = 0; applies && rule->claims[j]; j++) {
            applies = has_claim(claims, count, rule->claims[j]);
        }
        if (applies) {
            return true;
        }
    }
    return false;
}

bool kj_auth_rules_allow(const struct kj_auth_rules *rules, const char *const *claims, size_t count,
                         enum kj_operation operation, const char *identity)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)&rules->lock;
    pthread_rwlock_rdlock(lock);
    bool is_allowed = allows(rules->table, claims, count, operation, identity);
    pthread_rwlock_unlock(lock);
    return is_allowed;
}

static enum kj_auth authorize(struct kj_context *context, void *ctx)
{
    const struct kj_request *request = kj_context_request(context);
    size_t count;
    const char *const *claims = kj_context_claims(context, &count);
    return kj_auth_rules_allow(ctx, claims, count, request->operation,
                               kj_identity_name(request->identity))
               ? KJ_AUTH_CONTINUE
               : KJ_AUTH_REFUSE;
}

bool kj_auth_rules_may_hear(const struct kj_auth_rules *rules, const struct kj_session *session,
                            const struct kj_event *event)
{
    size_t count;
    const char *const *claims = kj_session_claims(session, &count);
    return kj_auth_rules_allow(rules, claims, count, KJ_OP_RETRIEVE, kj_event_identity(event));
}

static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)summary;
    return kj_auth_rules_may_hear(ctx, session, event);
}

struct kj_authorizer kj_auth_rules_authorizer(struct kj_auth_rules *rules)
{
    return (struct kj_authorizer){.authorize = authorize, .ctx = rules};
}

struct kj_dispatch_handler kj_auth_rules_dispatch(struct kj_auth_rules *rules)
{
    return (struct kj_dispatch_handler){.should_dispatch = should_dispatch, .ctx = rules};
}
