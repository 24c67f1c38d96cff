/*
 * The kind of device that a user agent says it is. By the words that its makers document: robots
 * name themselves; "Mobi" is a telephone (MDN, "Browser detection using the user agent"); an
 * Android without "Mobile" is a tablet (Chromium, "User agents on Android"). A guess: browsers may
 * say what they like, and a tablet that asks for desktop pages says it is a desktop.
 */
#ifndef PIPELINE_RUN_DEVICE_KIND_H
#define PIPELINE_RUN_DEVICE_KIND_H

#include "pipeline/base/text.h"

/* "bot", "tv", "tablet", "mobile", "desktop" or "other". */
const char *device_kind_of(struct text user_agent);

#endif
