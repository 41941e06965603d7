/* listen_fault.h - why a port cannot be listened at: civetweb tells only that it failed. */
#ifndef KJ_HTTP_LISTEN_FAULT_H
#define KJ_HTTP_LISTEN_FAULT_H

/* What the kernel says of an "ADDR:PORT" or "[ADDR]:PORT" that civetweb could not have, such as
 * "Address already in use"; `otherwise` where it has no objection, or the text is no address.
 * Lives until the thread's next call of strerror. */
const char *kj__listen_fault(const char *where, const char *otherwise);

#endif
