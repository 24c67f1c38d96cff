#include "pipeline/base/utf8.h"

#include <string.h>

/* What may follow a lead byte (Unicode 15, table 3-7); later bytes are always 80 to BF. */
struct lead {
    uint32_t length; /* 0: no lead byte. */
    unsigned char second_low;
    unsigned char second_high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0x80) {
        return (struct lead){1, 0, 0};
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return (struct lead){0, 0, 0};
    }
    if (byte < 0xE0) {
        return (struct lead){2, 0x80, 0xBF};
    }
    if (byte < 0xF0) {
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    }
    return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
}

uint32_t utf8_sequence(const char *bytes, size_t length, bool *ret_is_valid)
{
    const unsigned char *next = (const unsigned char *)bytes;
    struct lead lead = lead_of(next[0]);
    uint32_t good = 1;
    if (lead.length > 1 && length > 1 && next[1] >= lead.second_low &&
        next[1] <= lead.second_high) {
        good = 2;
        while (good < lead.length && good < length && (next[good] & 0xC0) == 0x80) {
            good++;
        }
    }
    *ret_is_valid = good == lead.length;
    return good;
}

size_t utf8_ascii_length(const char *bytes, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
    }
    while (i < length && (unsigned char)bytes[i] < 0x80) {
        i++;
    }
    return i;
}
