/* status.c - texts of statuses, and the struct that explains a failure to a person. */
#include "codec/status.h"

#include "base/utf8.h"

#include <errno.h>
#include <kujata/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *kj_status_text(enum kj_status status)
{
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                             \
    case name:                                                                                     \
        return text;
        KJ_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

enum kj_status kj__status_of_errno(int number)
{
    switch (number) {
    case 0:
        return KJ_OK;
    case EINVAL:
        return KJ_EINVAL;
    case ENOMEM:
        return KJ_ENOMEM;
    default:
        return KJ_EIO;
    }
}

void kj_error_set(struct kj_error *error, size_t position, const char *format, ...)
{
    if (!error) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->text[kj__utf8_whole(error->text, strlen(error->text))] = '\0';
    /* The text may quote foreign bytes, and it is promised to be one line. */
    for (char *byte = error->text; *byte; byte++) {
        if ((unsigned char)*byte < ' ' || *byte == 0x7f) {
            *byte = ' ';
        }
    }
    error->position = position;
}
