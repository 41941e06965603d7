/* filter_constant.c - numbers, times and durations in filters, and what texts convert to. */
#include "model/filter_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_TEXT_MAX = 64 };

static size_t count_digits(const char *text, size_t at, size_t len)
{
    size_t count = 0;
    while (at + count < len && text[at + count] >= '0' && text[at + count] <= '9') {
        count++;
    }
    return count;
}

/* Whether the text is a number; *is_integer when it has neither fraction nor exponent. */
static bool has_number_shape(const char *text, size_t len, bool *is_integer)
{
    size_t at = len > 0 && (text[0] == '-' || text[0] == '+');
    size_t whole = count_digits(text, at, len);
    size_t fraction = 0;
    at += whole;
    *is_integer = at == len;
    if (at < len && text[at] == '.') {
        fraction = count_digits(text, at + 1, len);
        at += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < len && (text[at] == '-' || text[at] == '+');
        size_t exponent = count_digits(text, at, len);
        at += exponent;
        return exponent > 0 && at == len;
    }
    return at == len;
}

bool kj__filter_number_read(const char *text, size_t len, struct kj__filter_number *number)
{
    char copy[NUMBER_TEXT_MAX + 1];
    if (len > NUMBER_TEXT_MAX || !has_number_shape(text, len, &number->is_integer)) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *end;
    number->real = strtod(copy, &end);
    number->integer = 0;
    if (number->is_integer) {
        errno = 0;
        number->integer = strtoll(copy, NULL, 10);
        number->is_integer = errno == 0;
        bool is_rounded_up = !number->is_integer && number->real < 0 && number->real >= -0x1p63;
        if (is_rounded_up) { /* to the least integer, which it is below */
            number->real = nextafter(number->real, -INFINITY);
        }
    }
    return *end == '\0' && isfinite(number->real);
}

static int compare_integers(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

/* Without rounding the integer, which may have more digits than a double holds. */
static int compare_mixed(int64_t integer, double real)
{
    if (isnan(real)) {
        return 2;
    }
    if (real >= 0x1p63 || real < -0x1p63) {
        return real > 0 ? -1 : 1;
    }
    double whole = trunc(real);
    int order = compare_integers(integer, (int64_t)whole);
    return order ? order : (whole > real) - (whole < real);
}

int kj__filter_number_compare(struct kj__filter_number left, struct kj__filter_number right)
{
    if (left.is_integer && right.is_integer) {
        return compare_integers(left.integer, right.integer);
    }
    if (left.is_integer) {
        return compare_mixed(left.integer, right.real);
    }
    if (right.is_integer) {
        int order = compare_mixed(right.integer, left.real);
        return order == 2 ? 2 : -order;
    }
    if (isnan(left.real) || isnan(right.real)) {
        return 2;
    }
    return (left.real > right.real) - (left.real < right.real);
}

bool kj__filter_time_read(const char *text, size_t len, struct kj__timestamp *time)
{
    enum { DATE_LEN = sizeof "2021-03-04" - 1, MINUTE_LEN = sizeof "2021-03-04 05:06" - 1 };
    if (len < DATE_LEN || text[4] != '-') {
        return false;
    }
    if (len != DATE_LEN && (len != MINUTE_LEN || text[DATE_LEN] != ' ')) {
        return kj__timestamp_parse(text, len, time);
    }
    char full[] = "0000-00-00T00:00:00Z";
    memcpy(full, text, DATE_LEN);
    if (len == MINUTE_LEN) {
        size_t clock = DATE_LEN + 1;
        memcpy(full + clock, text + clock, MINUTE_LEN - clock);
    }
    return kj__timestamp_parse(full, sizeof full - 1, time);
}

/* The unit at the text's start, in nanoseconds; *len gets its length. 0 when there is none. */
static int64_t read_unit(const char *text, size_t room, size_t *len)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000},  {"\xce\xbcs", 1000},
        {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000LL}, {"h", 3600000000000LL},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        *len = strlen(units[i].name);
        if (room >= *len && memcmp(text, units[i].name, *len) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

/* One number and its unit at *at, added to the total. */
static bool read_duration_part(const char *text, size_t len, size_t *at, double *total_ns)
{
    char number[NUMBER_TEXT_MAX + 1];
    size_t whole = count_digits(text, *at, len);
    size_t size = whole;
    if (*at + size < len && text[*at + size] == '.') {
        size += 1 + count_digits(text, *at + size + 1, len);
    }
    if (size == 0 || size > NUMBER_TEXT_MAX || (whole == 0 && size == 1)) {
        return false;
    }
    memcpy(number, text + *at, size);
    number[size] = '\0';
    *at += size;
    size_t unit_len;
    int64_t unit_ns = read_unit(text + *at, len - *at, &unit_len);
    *at += unit_len;
    *total_ns += strtod(number, NULL) * (double)unit_ns;
    return unit_ns != 0;
}

bool kj__filter_duration_read(const char *text, size_t len, int64_t *duration_ns)
{
    size_t at = len > 0 && (text[0] == '-' || text[0] == '+');
    bool is_negative = at && text[0] == '-';
    double total_ns = 0;
    if (len - at == 1 && text[at] == '0') {
        *duration_ns = 0;
        return true;
    }
    bool ok = at < len;
    while (ok && at < len) {
        ok = read_duration_part(text, len, &at, &total_ns);
    }
    if (!ok || total_ns >= 0x1p63) {
        return false;
    }
    *duration_ns = is_negative ? -(int64_t)total_ns : (int64_t)total_ns;
    return true;
}

struct kj__timestamp kj__filter_time_add(int64_t now_ns, int64_t duration_ns)
{
    const int64_t second = 1000000000;
    int64_t seconds = now_ns / second + duration_ns / second;
    int64_t nanoseconds = now_ns % second + duration_ns % second;
    if (nanoseconds < 0) {
        seconds -= 1 + -(nanoseconds + 1) / second;
        nanoseconds = (nanoseconds % second + second) % second;
    } else if (nanoseconds >= second) {
        seconds++;
        nanoseconds -= second;
    }
    return (struct kj__timestamp){.seconds = seconds, .nanoseconds = (uint32_t)nanoseconds};
}

void kj__filter_constant_classify(struct kj__filter_constant *constant)
{
    struct kj__filter_number number;
    struct kj__timestamp time;
    if (kj__filter_number_read(constant->text, constant->len, &number)) {
        constant->is_number = true;
        constant->number = number;
    } else if (kj__filter_time_read(constant->text, constant->len, &time)) {
        constant->is_time = true;
        constant->time = time;
    }
}
