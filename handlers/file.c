/* file.c - see file.h. */
#include "handlers/file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kj__file_free(char *text, size_t len)
{
    if (text) {
        OPENSSL_cleanse(text, len);
        free(text);
    }
}

enum kj_status kj__file_read(const char *path, size_t max, char **text, size_t *len,
                             struct kj_error *error)
{
    *text = NULL;
    FILE *file = fopen(path, "re");
    if (!file) {
        kj_error_set(error, 0, "%s: %s", path, strerror(errno));
        return KJ_EIO;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no copy of a secret stays in a buffer */
    enum kj_status status = KJ_OK;
    char *bytes = malloc(max + 2);
    size_t got = bytes ? fread(bytes, 1, max + 1, file) : 0;
    if (!bytes) {
        kj_error_set(error, 0, "%s: no memory", path);
        status = KJ_ENOMEM;
    } else if (ferror(file)) {
        kj_error_set(error, 0, "%s: %s", path, strerror(errno));
        status = KJ_EIO;
    } else if (got > max) {
        kj_error_set(error, 0, "%s: more than %zu bytes", path, max);
        status = KJ_ELIMIT;
    }
    fclose(file);
    if (status) {
        kj__file_free(bytes, got);
        return status;
    }
    char *fitted = realloc(bytes, got + 1);
    *text = fitted ? fitted : bytes;
    (*text)[got] = '\0';
    *len = got;
    return KJ_OK;
}
