/* status.h - statuses for what the base reports in errno's numbers. */
#ifndef KJ_CODEC_STATUS_H
#define KJ_CODEC_STATUS_H

#include <kujata/status.h>

/* 0, EINVAL and ENOMEM have their own status; anything else is KJ_EIO.  [any thread] */
enum kj_status kj__status_of_errno(int number);

#endif
