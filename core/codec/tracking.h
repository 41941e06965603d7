/* tracking.h - tracking data: a small object of strings that travels with a publication. */
#ifndef KJ_CODEC_TRACKING_H
#define KJ_CODEC_TRACKING_H

#include <jansson.h>
#include <kujata/status.h>

/* KJ_EINVAL for what is no object of strings, KJ_ELIMIT for more than publication.h allows. */
enum kj_status kj__tracking_check(const json_t *tracking);

#endif
