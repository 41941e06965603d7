/* audit.h - a ready auditor: one JSON object a line, in a file.
 *
 * A line holds the time (`time`), what it is about (`kind`: "operation" or "session"), who asked
 * (`remoteAddress`, `claims` with the values of credentials and of e-mail addresses masked), for a
 * call what it asked for (`request`, `operation`, `identity`, `objectID`, `parentIdentity`,
 * `parentID`, `namespace`), for a handshake and for a token that came later the `session`, what
 * came of it (`status`, `durationUS`, `error`) and the caller's `traceparent`. Members with nothing
 * to say are left out.
 *
 * Each line is one write to the end of the file, so several nodes may share one.
 */
#ifndef KUJATA_AUDIT_H
#define KUJATA_AUDIT_H

#include <kujata/error.h>
#include <kujata/handlers.h>
#include <kujata/status.h>

struct kj_audit_file;

/* Opens `path` for appending; a new file can be read by its owner alone. KJ_EIO, KJ_ENOMEM. */
enum kj_status kj_audit_file_new(const char *path, struct kj_audit_file **file,
                                 struct kj_error *error);

/* Opens the path again, for a file that was moved away. The old one stays in use after a failure.
 *                                                                      [any thread] */
enum kj_status kj_audit_file_reopen(struct kj_audit_file *file, struct kj_error *error);

void kj_audit_file_free(struct kj_audit_file *file); /* NULL is fine */

/* What the server's options take. A record that cannot be written, on a full disk say, is lost:
 * KJ_EIO. It may be used by several servers, which it must outlive. */
struct kj_auditor kj_audit_file_auditor(struct kj_audit_file *file);

#endif
