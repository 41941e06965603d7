/* announce.h - telling gateways of bahamut which node serves what.
 *
 * A hello goes out at the start and at an interval, a goodbye before the server stops listening.
 * docs/gateway.md says what is in them. Strings are copied by kj_server_new.
 */
#ifndef KUJATA_ANNOUNCE_H
#define KUJATA_ANNOUNCE_H

#include <stdint.h>

struct kj_announce_options {
    const char *topic;           /* where gateways listen; NULL: nothing is announced */
    const char *name;            /* of the service; NULL: service_name of the HTTP policy */
    const char *endpoint;        /* "HOST:PORT" where gateways reach this node; required */
    const char *prefix;          /* of the service in a gateway's URLs; NULL: none */
    uint32_t interval_ms;        /* between two hellos; 0: 5,000 */
    uint32_t goodbye_timeout_ms; /* for a gateway to acknowledge the goodbye; 0: 10,000 */
    uint32_t goodbye_pause_ms;   /* once it has, for the other gateways to hear it; 0: 1,000 */
};

#endif
