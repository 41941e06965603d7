/* timestamp.c - see timestamp.h. */
#include "base/timestamp.h"

#include <stdio.h>
#include <time.h>

/* Days since 1970-01-01 of a date of the Gregorian calendar, counted in eras of 400 years
 * that start in March, so that a leap day comes last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool read_number(const char **cursor, const char *end, int digits, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        if (*cursor == end || **cursor < '0' || **cursor > '9') {
            return false;
        }
        *value = *value * 10 + (*(*cursor)++ - '0');
    }
    return true;
}

static bool read_byte(const char **cursor, const char *end, char wanted)
{
    return *cursor < end && *(*cursor)++ == wanted;
}

static bool read_fraction(const char **cursor, const char *end, uint32_t *nanoseconds)
{
    *nanoseconds = 0;
    if (*cursor == end || **cursor != '.') {
        return true;
    }
    (*cursor)++;
    uint32_t unit = 100000000;
    const char *start = *cursor;
    while (*cursor < end && **cursor >= '0' && **cursor <= '9') {
        *nanoseconds += unit * (uint32_t)(*(*cursor)++ - '0');
        unit /= 10;
    }
    return *cursor > start;
}

static bool read_zone(const char **cursor, const char *end, int *offset_seconds)
{
    *offset_seconds = 0;
    if (*cursor == end) {
        return false;
    }
    char sign = *(*cursor)++;
    if (sign == 'Z') {
        return true;
    }
    int hours, minutes;
    if ((sign != '+' && sign != '-') || !read_number(cursor, end, 2, &hours) ||
        !read_byte(cursor, end, ':') || !read_number(cursor, end, 2, &minutes) || hours > 24 ||
        minutes > 59) {
        return false;
    }
    *offset_seconds = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

bool kj__timestamp_parse(const char *text, size_t len, struct kj__timestamp *timestamp)
{
    const char *cursor = text;
    const char *end = text + len;
    int year, month, day, hour, minute, second, offset;
    uint32_t nanoseconds;
    bool ok = read_number(&cursor, end, 4, &year) && read_byte(&cursor, end, '-') &&
              read_number(&cursor, end, 2, &month) && read_byte(&cursor, end, '-') &&
              read_number(&cursor, end, 2, &day) && read_byte(&cursor, end, 'T') &&
              read_number(&cursor, end, 2, &hour) && read_byte(&cursor, end, ':') &&
              read_number(&cursor, end, 2, &minute) && read_byte(&cursor, end, ':') &&
              read_number(&cursor, end, 2, &second) && read_fraction(&cursor, end, &nanoseconds) &&
              read_zone(&cursor, end, &offset);
    if (!ok || cursor != end || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    timestamp->seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 +
                         second - offset;
    timestamp->nanoseconds = nanoseconds;
    return true;
}

size_t kj__timestamp_format(struct kj__timestamp timestamp, char text[KJ__TIMESTAMP_TEXT_SIZE])
{
    time_t seconds = (time_t)timestamp.seconds;
    struct tm utc;
    text[0] = '\0';
    if (!gmtime_r(&seconds, &utc) || utc.tm_year < -1900 || utc.tm_year > 9999 - 1900) {
        return 0;
    }
    size_t len = (size_t)snprintf(text, KJ__TIMESTAMP_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d",
                                  utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                                  utc.tm_min, utc.tm_sec);
    if (timestamp.nanoseconds) {
        len += (size_t)snprintf(text + len, KJ__TIMESTAMP_TEXT_SIZE - len, ".%09u",
                                timestamp.nanoseconds);
        while (text[len - 1] == '0') {
            len--;
        }
    }
    text[len++] = 'Z';
    text[len] = '\0';
    return len;
}
