/* spec.c - `kujata spec`: prints what a model offers as an OpenAPI or AsyncAPI document. */
#include "commands.h"
#include "options.h"

#include <kujata/kujata.h>
#include <stdio.h>
#include <stdlib.h>

static const char command[] = "spec";

enum { SPEC_OPENAPI, SPEC_ASYNCAPI };

static const char *const kinds[] = {"openapi", "asyncapi", NULL};

/* What the command line says. */
struct spec_settings {
    const char *model;
    int kind;
    struct kj_spec_options options;
};

static enum options_result read_command_line(struct spec_settings *settings, int argc,
                                             char *const *argv)
{
    struct kj_spec_options *spec = &settings->options;
    const struct option options[] = {
        {OPTION(NULL, OPTION_CHOICE, &settings->kind, "openapi|asyncapi",
                "OpenAPI 3.1 of the REST API, or AsyncAPI 3.0 of the push endpoint"),
         .required = true, .choices = kinds},
        {OPTION("--model", OPTION_TEXT, &settings->model, "FILE", "the resources"),
         .required = true},
        {OPTION("--title", OPTION_TEXT, &spec->title, "TEXT", "default Kujata")},
        {OPTION("--version", OPTION_TEXT, &spec->version, "TEXT",
                "of the API; default: the model's")},
        {OPTION("--url", OPTION_TEXT, &spec->server_url, "URL",
                "where the server is: http[s]://HOST[:PORT][/PATH]; default: not told")},
        {OPTION("--api-prefix", OPTION_TEXT, &spec->api_prefix, "PATH", "as of kujata serve")},
        {OPTION("--push-endpoint", OPTION_TEXT, &spec->push_endpoint, "PATH",
                "as of kujata serve")},
        {OPTION("--limit-page-objects", OPTION_NUMBER, &spec->page_objects, "N",
                "as of kujata serve"),
         .minimum = 1, .maximum = UINT32_MAX},
        {OPTION("--strict-flags", OPTION_SWITCH, &spec->strict_flags, NULL, "as of kujata serve")},
        {OPTION("--ignore-idempotency-keys", OPTION_SWITCH, &spec->ignore_idempotency_keys, NULL,
                "as of kujata serve")},
        {OPTION("--auth", OPTION_SWITCH, &spec->needs_token, NULL,
                "calls and sessions show a token")},
        {OPTION("--auth-cookie", OPTION_TEXT, &spec->token_cookie, "NAME", "as of kujata serve")},
        {OPTION("--auth-query", OPTION_SWITCH, &spec->token_in_query, NULL, "as of kujata serve")},
        {OPTION("--auth-public-reads", OPTION_SWITCH, &spec->public_reads, NULL,
                "as of kujata serve")},
    };
    return options_parse(command, options, sizeof options / sizeof *options, argc, argv);
}

static int print_document(const struct json_t *document)
{
    bool is_printed = json_dumpf(document, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF &&
                      fflush(stdout) == 0;
    return is_printed ? EXIT_SUCCESS
                      : options_fail(EXIT_FAILURE, command, "cannot write the document");
}

int command_spec(int argc, char *const *argv)
{
    struct spec_settings settings = {0};
    enum options_result parsed = read_command_line(&settings, argc, argv);
    if (parsed) {
        return parsed == OPTIONS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
    }
    struct kj_spec_options *spec = &settings.options;
    spec->needs_token |= spec->token_cookie || spec->token_in_query || spec->public_reads;
    struct kj_model *model;
    struct kj_error error = {0};
    if (kj_model_load(settings.model, &model, &error)) {
        return options_fail(EXIT_USAGE, command, "--model: %s", error.text);
    }
    json_t *document;
    enum kj_status status = settings.kind == SPEC_OPENAPI
                                ? kj_spec_openapi(model, &settings.options, &document, &error)
                                : kj_spec_asyncapi(model, &settings.options, &document, &error);
    int exit_status = status ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE,
                                            command, "%s", error.text)
                             : print_document(document);
    json_decref(document);
    kj_model_free(model);
    return exit_status;
}
