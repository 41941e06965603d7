/* cookie.c - see cookie.h. */
#include "base/cookie.h"

#include <string.h>

void kj__cookie_trim(const char **value, size_t *len)
{
    while (*len > 0 && (*value)[*len - 1] == ' ') {
        --*len;
    }
    if (*len > 1 && (*value)[0] == '"' && (*value)[*len - 1] == '"') {
        ++*value;
        *len -= 2;
    }
}

bool kj__cookie_find(const char *header, const char *name, const char **value, size_t *len)
{
    size_t name_len = strlen(name);
    while (*header) {
        size_t pair = strcspn(header, ";");
        if (pair > name_len && header[name_len] == '=' && strncmp(header, name, name_len) == 0) {
            *value = header + name_len + 1;
            *len = pair - name_len - 1;
            kj__cookie_trim(value, len);
            return true;
        }
        header += pair + (header[pair] == ';');
        header += strspn(header, " ");
    }
    return false;
}
