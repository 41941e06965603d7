/* pem_fault.c - see pem_fault.h. */
#include "codec/pem_fault.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/x509err.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* OpenSSL's words where they say it. */
static const char *find_reason(unsigned long code)
{
    bool is_other = (ERR_GET_LIB(code) == ERR_LIB_PEM &&
                     ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
                    (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER &&
                     ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
    if (is_other) {
        return "nothing of that kind is in it, as PEM (-----BEGIN ...)";
    }
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
        return "this is not the key of the certificate";
    }
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unusable";
}

enum kj_status kj__pem_refuse(const char *option, const char *file, struct kj_error *error)
{
    const char *reason = find_reason(ERR_peek_error());
    if (access(file, R_OK) != 0) {
        reason = strerror(errno);
    }
    kj_error_set(error, 0, "option %s: %s: %s", option, file, reason);
    ERR_clear_error();
    return KJ_EINVAL;
}
