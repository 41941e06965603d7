/* kujata.h - everything public in one include. C++ includes this one alone. */
#ifndef KUJATA_KUJATA_H
#define KUJATA_KUJATA_H

/* C++ needs these outside of what follows, and every other header is to come through this one. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <kujata/accounts.h>
#include <kujata/announce.h>
#include <kujata/audit.h>
#include <kujata/auth.h>
#include <kujata/auth_rules.h>
#include <kujata/certificate.h>
#include <kujata/context.h>
#include <kujata/counter.h>
#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/filter.h>
#include <kujata/gateway.h>
#include <kujata/gochat.h>
#include <kujata/goim.h>
#include <kujata/gopush.h>
#include <kujata/handlers.h>
#include <kujata/healing.h>
#include <kujata/http_policy.h>
#include <kujata/log.h>
#include <kujata/messages.h>
#include <kujata/model.h>
#include <kujata/namespaces.h>
#include <kujata/native.h>
#include <kujata/presence.h>
#include <kujata/processor.h>
#include <kujata/publication.h>
#include <kujata/pubsub.h>
#include <kujata/pubsub_local.h>
#include <kujata/pubsub_nats.h>
#include <kujata/push_api.h>
#include <kujata/push_config.h>
#include <kujata/route.h>
#include <kujata/server.h>
#include <kujata/session.h>
#include <kujata/spec.h>
#include <kujata/status.h>
#include <kujata/store.h>
#include <kujata/store_sqlite.h>
#include <kujata/subscriber.h>
#include <kujata/time.h>
#include <kujata/upstream.h>

#ifdef __cplusplus
}
#endif

#endif
