/* pem_fault.h - why OpenSSL did not take a file with a certificate or a key, for people. */
#ifndef KJ_CODEC_PEM_FAULT_H
#define KJ_CODEC_PEM_FAULT_H

#include <kujata/error.h>
#include <kujata/status.h>

/* Returns KJ_EINVAL, with an error of the option and the file, after a call of OpenSSL by this
 * thread has failed on it. Empties the thread's queue of OpenSSL's errors.        [any thread] */
enum kj_status kj__pem_refuse(const char *option, const char *file, struct kj_error *error);

#endif
