/* media_type.c - which encoding a Content-Type or Accept line asks for.
 *
 * The grammar, and the texts of its errors, are those of Go's mime package, because clients
 * of bahamut see them.
 */
#include "codec/encoding.h"

#include <string.h>
#include <strings.h>

struct text {
    const char *at, *end;
};

static bool is_at_end(const struct text *text)
{
    return text->at == text->end;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void skip_blanks(struct text *text)
{
    while (!is_at_end(text) && is_blank(*text->at)) {
        text->at++;
    }
}

static struct text trim(struct text text)
{
    skip_blanks(&text);
    while (!is_at_end(&text) && is_blank(text.end[-1])) {
        text.end--;
    }
    return text;
}

static bool take_byte(struct text *text, char wanted)
{
    if (is_at_end(text) || *text->at != wanted) {
        return false;
    }
    text->at++;
    return true;
}

static bool is_token_byte(char byte)
{
    return byte > ' ' && byte < 0x7f && !strchr("()<>@,;:\\\"/[]?=", byte);
}

static bool take_token(struct text *text)
{
    const char *start = text->at;
    while (!is_at_end(text) && is_token_byte(*text->at)) {
        text->at++;
    }
    return text->at > start;
}

static bool take_quoted(struct text *text)
{
    while (!is_at_end(text)) {
        char byte = *text->at++;
        if (byte == '"') {
            return true;
        }
        if (byte == '\r' || byte == '\n') {
            return false;
        }
        if (byte == '\\' && !is_at_end(text)) {
            text->at++;
        }
    }
    return false;
}

static bool take_parameter(struct text *text)
{
    if (!take_byte(text, ';')) {
        return false;
    }
    skip_blanks(text);
    if (is_at_end(text)) {
        return true; /* a last semicolon alone */
    }
    if (!take_token(text)) {
        return false;
    }
    skip_blanks(text);
    if (!take_byte(text, '=')) {
        return false;
    }
    skip_blanks(text);
    return take_byte(text, '"') ? take_quoted(text) : take_token(text);
}

/* Reads "type/subtype; parameters" and leaves its name. NULL, or what is wrong with it. */
static const char *parse_media_type(struct text text, struct text *name)
{
    const char *semicolon = memchr(text.at, ';', (size_t)(text.end - text.at));
    struct text parameters = {semicolon ? semicolon : text.end, text.end};
    *name = trim((struct text){text.at, parameters.at});
    struct text rest = *name;
    if (!take_token(&rest)) {
        return "mime: no media type";
    }
    if (!is_at_end(&rest)) {
        if (!take_byte(&rest, '/')) {
            return "mime: expected slash after first token";
        }
        if (!take_token(&rest)) {
            return "mime: expected token after slash";
        }
        if (!is_at_end(&rest)) {
            return "mime: unexpected content after media subtype";
        }
    }
    for (skip_blanks(&parameters); !is_at_end(&parameters); skip_blanks(&parameters)) {
        if (!take_parameter(&parameters)) {
            return "mime: invalid media parameter";
        }
    }
    return NULL;
}

static bool is_wildcard(struct text name)
{
    static const char *const wildcards[] = {"*/*", "application/*"};
    size_t len = (size_t)(name.end - name.at);
    for (size_t i = 0; i < sizeof wildcards / sizeof *wildcards; i++) {
        if (strlen(wildcards[i]) == len && strncasecmp(wildcards[i], name.at, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool encoding_of(struct text name, enum kj_encoding *encoding)
{
    if (is_wildcard(name)) {
        *encoding = KJ_ENCODING_JSON;
        return true;
    }
    return kj__encoding_from_name(name.at, (size_t)(name.end - name.at), encoding);
}

/* Tries one media type: KJ_OK, KJ_EUNSUPPORTED when it is unknown, KJ_EPARSE with `error`. */
static enum kj_status try_item(struct text item, const char *header_name,
                               enum kj_encoding *encoding, struct kj_error *error)
{
    struct text name;
    const char *fault = parse_media_type(item, &name);
    if (fault) {
        kj_error_set(error, 0, "Invalid %s header: %s", header_name, fault);
        return KJ_EPARSE;
    }
    return encoding_of(name, encoding) ? KJ_OK : KJ_EUNSUPPORTED;
}

static enum kj_status finish(enum kj_status status, const char *header_name, const char *header,
                             int *http_status, struct kj_error *error)
{
    if (status == KJ_EPARSE) {
        *http_status = 400;
    } else if (status == KJ_EUNSUPPORTED) {
        *http_status = 415;
        kj_error_set(error, 0, "Cannot find any acceptable %s media type in provided header: %s",
                     header_name, header);
    }
    return status;
}

enum kj_status kj__negotiate_content_type(const char *header, enum kj_encoding *encoding,
                                          int *http_status, struct kj_error *error)
{
    if (!header || !*header) {
        *encoding = KJ_ENCODING_JSON;
        return KJ_OK;
    }
    struct text text = {header, header + strlen(header)};
    enum kj_status status = try_item(text, "Content-Type", encoding, error);
    return finish(status, "Content-Type", header, http_status, error);
}

enum kj_status kj__negotiate_accept(const char *header, enum kj_encoding *encoding,
                                    int *http_status, struct kj_error *error)
{
    if (!header || !*header) {
        *encoding = KJ_ENCODING_JSON;
        return KJ_OK;
    }
    enum kj_status status;
    const char *at = header;
    do {
        struct text item = {at, at + strcspn(at, ",")};
        status = try_item(item, "Accept", encoding, error);
        at = *item.end ? item.end + 1 : NULL;
    } while (status == KJ_EUNSUPPORTED && at);
    return finish(status, "Accept", header, http_status, error);
}
