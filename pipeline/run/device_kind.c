#include "pipeline/run/device_kind.h"

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

/* Where `word`, in small letters, begins in the text at or after `from`; its length: nowhere. */
static uint32_t find(struct text text, const char *word, uint32_t from)
{
    uint32_t length = (uint32_t)strlen(word);
    for (uint32_t i = from; i + length <= text.length; i++) {
        uint32_t same = 0;
        while (same < length && lower(text.data[i + same]) == word[same]) {
            same++;
        }
        if (same == length) {
            return i;
        }
    }
    return text.length;
}

static bool has(struct text text, const char *word)
{
    return find(text, word, 0) < text.length;
}

static bool has_any(struct text text, const char *const *words)
{
    for (; *words; words++) {
        if (has(text, *words)) {
            return true;
        }
    }
    return false;
}

/* "bot", but not in the name of a make of telephones. */
static bool is_bot(struct text agent)
{
    static const char *const words[] = {"crawl", "spider", "slurp", "+http", NULL};
    for (uint32_t at = find(agent, "bot", 0); at < agent.length; at = find(agent, "bot", at + 1)) {
        if (at < 2 || lower(agent.data[at - 1]) != 'u' || lower(agent.data[at - 2]) != 'c') {
            return true;
        }
    }
    return has_any(agent, words);
}

const char *device_kind_of(struct text user_agent)
{
    static const char *const tv[] = {"smart-tv", "smarttv", "appletv", "googletv", "hbbtv", NULL};
    static const char *const tablet[] = {"ipad", "tablet", "kindle", NULL};
    static const char *const mobile[] = {"mobi", "iphone", "ipod", "phone", "opera mini", NULL};
    static const char *const desktop[] = {"windows", "macintosh", "x11", "linux", "cros", NULL};
    if (is_bot(user_agent)) {
        return "bot";
    }
    if (has_any(user_agent, tv)) {
        return "tv";
    }
    if (has_any(user_agent, tablet)) {
        return "tablet";
    }
    if (has_any(user_agent, mobile)) {
        return "mobile";
    }
    if (has(user_agent, "android")) {
        return "tablet";
    }
    return has_any(user_agent, desktop) ? "desktop" : "other";
}
