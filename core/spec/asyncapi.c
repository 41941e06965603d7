/* asyncapi.c - the AsyncAPI document: one channel, the push endpoint. As AsyncAPI wants it the
 * operations are the server's: it sends events and receives push configs.
 *
 * Events of an identity are a schema of its name, which is what their discriminator holds; every
 * other name has a dot.
 */
#include "spec/parts.h"

#include <stdio.h>
#include <string.h>

enum { CONFIG_NAMES_MAX = 1024, CONFIG_TYPES_MAX = 64, CONFIG_FILTER_MAX = 4096 };

static const char description[] =
    "Sessions are websockets at one address. `Accept` chooses what events are in, JSON in text "
    "frames or MessagePack in binary ones, and `Content-Type` what the client's frames are in. "
    "Without a push config a session gets every event it may see.";

static const char channel_description[] =
    "A refused handshake is answered with an array of errors: 400 for what is no handshake, 401 "
    "and 403 by who asks, 415 by `Accept` or `Content-Type`, 429 for too many, 503 when there is "
    "no room or the server stops.\n\n"
    "Close codes of the server: 1000 answers the client's own close. 1001: the server stops. 1002: "
    "a fault in the websocket protocol. 1003: a push config that cannot be read, of a client "
    "without `enableErrors`. 1007: a text frame that is not UTF-8. 1008: the token ran out or a "
    "new one was refused, too many fragments, or, where the server is told to, too many events "
    "waiting. 1009: a message that is too large. 1011: the server failed. 1013: it cannot look at "
    "a new token now; try again later.";

/* ---- servers and security ---- */

static json_t *scheme_refs(struct kj__spec *spec)
{
    json_t *refs = kj__spec_array(spec);
    kj__spec_append(spec, refs, kj__spec_ref(spec, "securitySchemes", "bearer"));
    if (spec->options.token_cookie) {
        kj__spec_append(spec, refs, kj__spec_ref(spec, "securitySchemes", "cookie"));
    }
    kj__spec_append(spec, refs, kj__spec_ref(spec, "securitySchemes", "query"));
    return refs;
}

/* A session may always have its token in the query. */
static json_t *security_schemes(struct kj__spec *spec)
{
    json_t *schemes = kj__spec_object(spec);
    kj__spec_set(spec, schemes, "bearer",
                 json_pack("{s:s, s:s}", "type", "http", "scheme", "bearer"));
    if (spec->options.token_cookie) {
        kj__spec_set(spec, schemes, "cookie",
                     json_pack("{s:s, s:s, s:s}", "type", "httpApiKey", "in", "cookie", "name",
                               spec->options.token_cookie));
    }
    kj__spec_set(
        spec, schemes, "query",
        json_pack("{s:s, s:s, s:s}", "type", "httpApiKey", "in", "query", "name", "token"));
    return schemes;
}

/* The options have been checked: http or https. */
static json_t *server(struct kj__spec *spec)
{
    const char *url = spec->options.server_url;
    bool is_secure = strncmp(url, "https", strlen("https")) == 0;
    const char *host = strstr(url, "://") + strlen("://");
    size_t host_len = strcspn(host, "/");
    const char *path = host + host_len;
    size_t path_len = strlen(path);
    path_len -= path_len > 0 && path[path_len - 1] == '/';
    json_t *made = json_pack("{s:s%, s:s}", "host", host, host_len, "protocol",
                             is_secure ? "wss" : "ws");
    if (path_len > 0) {
        kj__spec_set(spec, made, "pathname", json_stringn(path, path_len));
    }
    if (spec->options.needs_token) {
        kj__spec_set(spec, made, "security", scheme_refs(spec));
    }
    return made;
}

/* ---- the channel ---- */

static json_t *handshake_query(struct kj__spec *spec)
{
    json_t *properties = kj__spec_object(spec);
    static const char *const texts[][2] = {
        {"namespace", "The namespace of the session, such as `/a/b`, where the server has them."},
        {"token", "A token; `Authorization` and a cookie come before it."},
        {"enableErrors",
         "There, whatever its value: error events tell what is wrong with a push config."},
        {"resume", "There, whatever its value: events have `seq`, their place in the stream. The "
                   "answer's header `X-Seq` is the place before the first; with a `since` that "
                   "the server knows it cannot go on from there is none."},
        {"since",
         "The last place before the connection broke, `seq` or `X-Seq`: the session goes on after "
         "it, once it has sent a push config. Where that cannot be, an error event with code 410 "
         "comes first, whose `seq` is the place to go on from."},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        kj__spec_set(spec, properties, texts[i][0],
                     json_pack("{s:s, s:s}", "type", "string", "description", texts[i][1]));
    }
    kj__spec_set(spec, properties, "mode",
                 json_pack("{s:s, s:s, s:[s]}", "type", "string", "description",
                           "With `all`, of namespaces below, too.", "examples", "all"));
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static json_t *handshake_headers(struct kj__spec *spec)
{
    static const char *const names[] = {"Accept", "Content-Type"};
    json_t *properties = kj__spec_object(spec);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        kj__spec_set(spec, properties, names[i],
                     json_pack("{s:s, s:[s, s], s:s}", "type", "string", "enum", "application/json",
                               "application/msgpack", "default", "application/json"));
    }
    kj__spec_set(spec, properties, "Authorization",
                 json_pack("{s:s, s:s}", "type", "string", "description", "`Bearer TOKEN`."));
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static const char *const message_names[] = {
    "event.json",    "event.msgpack",    "error.json",       "error.msgpack",
    "position.json", "position.msgpack", "push-config.json", "push-config.msgpack"};
enum { SENT_MESSAGES = 6, MESSAGE_COUNT = 8 };

static json_t *channel(struct kj__spec *spec)
{
    json_t *messages = kj__spec_object(spec);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        kj__spec_set(spec, messages, message_names[i],
                     kj__spec_ref(spec, "messages", message_names[i]));
    }
    json_t *websocket = json_pack("{s:s, s:o, s:o, s:s}", "method", "GET", "query",
                                  handshake_query(spec), "headers", handshake_headers(spec),
                                  "bindingVersion", "0.1.0");
    return json_pack("{s:s, s:s, s:o, s:{s:o}}", "address", spec->options.push_endpoint,
                     "description", channel_description, "messages", messages, "bindings", "ws",
                     websocket);
}

static json_t *operation(struct kj__spec *spec, bool is_sending, const char *summary)
{
    json_t *messages = kj__spec_array(spec);
    for (size_t i = is_sending ? 0 : SENT_MESSAGES;
         i < (is_sending ? SENT_MESSAGES : MESSAGE_COUNT); i++) {
        kj__spec_append(spec, messages,
                        json_pack("{s:o}", "$ref",
                                  json_sprintf("#/channels/events/messages/%s", message_names[i])));
    }
    json_t *made = json_pack("{s:s, s:{s:s}, s:s, s:o}", "action", is_sending ? "send" : "receive",
                             "channel", "$ref", "#/channels/events", "summary", summary, "messages",
                             messages);
    if (spec->options.needs_token) {
        kj__spec_set(spec, made, "security", scheme_refs(spec));
    }
    return made;
}

/* ---- messages ---- */

static json_t *message(struct kj__spec *spec, const char *title, bool is_json, const char *schema)
{
    return json_pack("{s:s, s:s, s:o}", "title", title, "contentType",
                     is_json ? "application/json" : "application/msgpack", "payload",
                     kj__spec_ref(spec, "schemas", schema));
}

static json_t *messages(struct kj__spec *spec)
{
    static const struct {
        const char *title, *schema;
    } rows[] = {
        {"An event, in a text frame", "event.json"},
        {"An event, in a binary frame", "event.msgpack"},
        {"An error event, in a text frame", "error.json"},
        {"An error event, in a binary frame", "event.msgpack"},
        {"A place in the stream, in a text frame", "position.json"},
        {"A place in the stream, in a binary frame", "event.msgpack"},
        {"What the session wants from now on", "config.push"},
        {"What the session wants from now on", "config.push"},
    };
    json_t *made = kj__spec_object(spec);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        kj__spec_set(spec, made, message_names[i],
                     message(spec, rows[i].title, i % 2 == 0, rows[i].schema));
    }
    return made;
}

/* ---- schemas ---- */

/* What events of each kind share; the entity is taken over. */
static json_t *event_members(const char *encoding, json_t *identity, json_t *type, json_t *entity)
{
    return json_pack("{s:{s:s, s:s}, s:o, s:o, s:{s:s, s:s}, s:{s:[s, s], s:s, s:s}, s:o}",
                     "encoding", "type", "string", "const", encoding, "entity", entity, "identity",
                     identity, "seq", "type", "string", "description",
                     "Its place in the stream; only in sessions with `resume` or `since`, and of "
                     "error events only in those with code 410.",
                     "timestamp", "type", "string", "null", "format", "date-time", "description",
                     "By the publisher's clock.", "type", type);
}

static json_t *event_schema(json_t *members)
{
    return json_pack("{s:s, s:o, s:[s, s, s, s, s]}", "type", "object", "properties", members,
                     "required", "encoding", "entity", "identity", "timestamp", "type");
}

static json_t *event_type(void)
{
    return json_pack("{s:s, s:[s, s, s], s:s}", "type", "string", "examples", "create", "update",
                     "delete", "description",
                     "What happened: create, update, delete, or a word of the application.");
}

static json_t *constant(const char *text)
{
    return json_pack("{s:s, s:s}", "type", "string", "const", text);
}

/* An event does not tell the version of its object. */
static json_t *entity_schema(struct kj__spec *spec, const struct kj_identity *namesake)
{
    json_t *any_of = kj__spec_array(spec);
    char name[KJ__SPEC_NAME_MAX];
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        if (spec->model->identities[i].namesake == namesake) {
            kj__spec_schema_name(&spec->model->identities[i], KJ__SPEC_SHOWN, name);
            kj__spec_append(spec, any_of, kj__spec_ref(spec, "schemas", name));
        }
    }
    if (json_array_size(any_of) != 1) {
        return json_pack("{s:o}", "anyOf", any_of);
    }
    json_t *only = json_incref(json_array_get(any_of, 0));
    json_decref(any_of);
    return only;
}

static void add_identities(struct kj__spec *spec, json_t *schemas)
{
    json_t *one_of = kj__spec_array(spec);
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        const struct kj_identity *identity = &spec->model->identities[i];
        char name[KJ__SPEC_NAME_MAX];
        kj__spec_schema_name(identity, KJ__SPEC_SHOWN, name);
        kj__spec_set(spec, schemas, name, kj__spec_schema(spec, identity, KJ__SPEC_SHOWN));
        if (identity->namesake == identity) {
            kj__spec_append(spec, one_of, kj__spec_ref(spec, "schemas", identity->name));
            kj__spec_set(spec, schemas, identity->name,
                         event_schema(event_members("application/json", constant(identity->name),
                                                    event_type(), entity_schema(spec, identity))));
        }
    }
    kj__spec_set(spec, schemas, "event.json",
                 json_pack("{s:s, s:s, s:{s:{s:s}}, s:[s], s:o}", "type", "object", "discriminator",
                           "identity", "properties", "identity", "type", "string", "required",
                           "identity", "oneOf", one_of));
}

static json_t *named_identities(struct kj__spec *spec)
{
    json_t *names = kj__spec_array(spec);
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        const struct kj_identity *identity = &spec->model->identities[i];
        if (identity->namesake == identity) {
            kj__spec_append(spec, names, json_string(identity->name));
        }
    }
    kj__spec_append(spec, names, json_string(""));
    return names;
}

/* Its entity is MessagePack within MessagePack, which no schema looks into. */
static json_t *binary_event(struct kj__spec *spec)
{
    json_t *identity = json_pack("{s:s, s:o, s:s}", "type", "string", "enum",
                                 named_identities(spec), "description",
                                 "Empty: an error or a place.");
    json_t *entity = json_pack("{s:s, s:s, s:s, s:s}", "type", "string", "format", "binary",
                               "contentMediaType", "application/msgpack", "description",
                               "Bytes (bin) that hold the object, as the schemas of its identity "
                               "have it, or the error, in MessagePack; times are the timestamp "
                               "extension (-1) and bytes are bin.");
    return event_schema(event_members("application/msgpack", identity, event_type(), entity));
}

/* What a map of the push config holds for each name. */
static json_t *config_map(json_t *values, const char *about)
{
    return json_pack("{s:[s, s], s:o, s:i, s:s}", "type", "object", "null", "additionalProperties",
                     values, "maxProperties", CONFIG_NAMES_MAX, "description", about);
}

static json_t *push_config(struct kj__spec *spec)
{
    json_t *properties = kj__spec_object(spec);
    kj__spec_set(spec, properties, "identities",
                 config_map(json_pack("{s:[s, s], s:{s:s}, s:i}", "type", "array", "null", "items",
                                      "type", "string", "maxItems", CONFIG_TYPES_MAX),
                            "Names, and the event types wanted of each; null or none: every type. "
                            "Absent or empty: everything. A name that is not there is left out."));
    kj__spec_set(
        spec, properties, "filters",
        config_map(json_pack("{s:s, s:i}", "type", "string", "maxLength", CONFIG_FILTER_MAX),
                   "A filter on attributes for some of these names."));
    kj__spec_set(spec, properties, "parameters",
                 config_map(json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string"),
                            "In place of the session's parameters of the same names; at most 128 "
                            "values. A new `token` is looked at as at a handshake."));
    return json_pack("{s:[s, s], s:s, s:o}", "type", "object", "null", "description",
                     "Each replaces the one before.", "properties", properties);
}

static json_t *schemas(struct kj__spec *spec)
{
    json_t *made = kj__spec_object(spec);
    add_identities(spec, made);
    kj__spec_set(spec, made, "event.msgpack", binary_event(spec));
    kj__spec_set(spec, made, "error.entity", kj__spec_error_schema(spec));
    kj__spec_set(spec, made, "error.json",
                 event_schema(event_members("application/json", constant(""), constant("error"),
                                            kj__spec_ref(spec, "schemas", "error.entity"))));
    kj__spec_set(
        spec, made, "position.json",
        event_schema(event_members("application/json", constant(""), constant("position"),
                                   json_pack("{s:s, s:i}", "type", "object", "maxProperties", 0))));
    kj__spec_set(spec, made, "config.push", push_config(spec));
    return made;
}

/* ---- the document ---- */

static json_t *components(struct kj__spec *spec)
{
    json_t *made = kj__spec_object(spec);
    kj__spec_set(spec, made, "schemas", schemas(spec));
    kj__spec_set(spec, made, "messages", messages(spec));
    if (spec->options.needs_token) {
        kj__spec_set(spec, made, "securitySchemes", security_schemes(spec));
    }
    return made;
}

enum kj_status kj_spec_asyncapi(const struct kj_model *model, const struct kj_spec_options *options,
                                json_t **document, struct kj_error *error)
{
    struct kj__spec spec;
    *document = NULL;
    enum kj_status status = kj__spec_init(&spec, model, options, error);
    if (status) {
        return status;
    }
    json_t *made = kj__spec_object(&spec);
    kj__spec_set_text(&spec, made, "asyncapi", "3.0.0");
    kj__spec_set(&spec, made, "info", kj__spec_info(&spec, description));
    kj__spec_set_text(&spec, made, "defaultContentType", "application/json");
    if (spec.options.server_url) {
        kj__spec_set(&spec, made, "servers", json_pack("{s:o}", "node", server(&spec)));
    }
    kj__spec_set(&spec, made, "channels", json_pack("{s:o}", "events", channel(&spec)));
    kj__spec_set(&spec, made, "operations",
                 json_pack("{s:o, s:o}", "sendEvent",
                           operation(&spec, true, "Events, and errors where they are asked for."),
                           "receivePushConfig",
                           operation(&spec, false, "What the session wants to hear of.")));
    kj__spec_set(&spec, made, "components", components(&spec));
    return kj__spec_finish_take(&spec, made, document, error);
}
