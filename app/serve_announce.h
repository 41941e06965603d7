/* serve_announce.h - the flags of `kujata serve` for gateways. */
#ifndef KUJATA_APP_SERVE_ANNOUNCE_H
#define KUJATA_APP_SERVE_ANNOUNCE_H

#include "options.h"

#include <kujata/announce.h>

/* Rows of the table of options; `announce` is a pointer to a struct kj_announce_options. */
#define ANNOUNCE_OPTIONS(announce)                                                                 \
    {OPTION("--announce-topic", OPTION_TEXT, &(announce)->topic, "NAME",                           \
            "where gateways hear of this node; default: not told")},                               \
        {OPTION("--announce-name", OPTION_TEXT, &(announce)->name, "NAME",                         \
                "of the service; default --service-name")},                                        \
        {OPTION("--announce-endpoint", OPTION_TEXT, &(announce)->endpoint, "HOST:PORT",            \
                "where gateways reach this node")},                                                \
        {OPTION("--announce-prefix", OPTION_TEXT, &(announce)->prefix, "NAME",                     \
                "of the service in a gateway's URLs; default none")},                              \
        {OPTION("--announce-interval-ms", OPTION_NUMBER, &(announce)->interval_ms, "MS",           \
                "between two hellos; default 5000"),                                               \
         .minimum = 1, .maximum = UINT32_MAX},                                                     \
    {                                                                                              \
        OPTION("--announce-goodbye-timeout-ms", OPTION_NUMBER, &(announce)->goodbye_timeout_ms,    \
               "MS", "for a gateway's acknowledgement; default 10000"),                            \
            .minimum = 1, .maximum = UINT32_MAX                                                    \
    }

#endif
