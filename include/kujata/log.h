/* log.h - the library's log, for handlers and backends: one line for a person, on stderr. */
#ifndef KUJATA_LOG_H
#define KUJATA_LOG_H

enum kj_log_level { KJ_LOG_ERROR = 0, KJ_LOG_WARNING, KJ_LOG_INFO };

/* Writes "TIME LEVEL MODULE TEXT". Lines that bad input can cause are for the caller to limit.
 *                                                                      [any thread] */
__attribute__((format(printf, 3, 4))) void kj_log(enum kj_log_level level, const char *module,
                                                  const char *format, ...);

#endif
