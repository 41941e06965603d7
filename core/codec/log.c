/* log.c - see kujata/log.h. */
#include <kujata/log.h>

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void kj_log(enum kj_log_level level, const char *module, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kj__log((enum kj__log_level)level, module, "%s", text);
}
