/* Every maximum of the program that is not a setting, and how they relate. */
#ifndef PIPELINE_LIMITS_H
#define PIPELINE_LIMITS_H

#include <assert.h>

#define BATCH_ROWS_MAX 4096u          /* Rows of a batch: events and due timers together. */
#define BATCH_EVENTS_MAX 1024u        /* So that timers find room beside the events. */
#define RAW_RECORD_BYTES_MAX 1048576u /* A longer line or record is a dead letter. */
#define DEAD_LETTER_BYTES_MAX 262144u /* What a dead letter keeps of its record. */
#define EVENT_TEXT_BYTES_MAX 65535u   /* Of one text field. */
#define EVENT_ATTRIBUTES_MAX 64u
#define FEATURES_MAX 256u
#define USER_CORE_BYTES_MAX 1280u /* All core parts of a user together, in memory. */
#define USER_MODEL_BYTES_MAX 512u /* All model parts of a user together. */
#define ENTITY_BYTES_MAX 192u     /* All parts of a card, device, address, terminal or item. */
#define TASK_BYTES_MAX 65536u     /* All parts of a task's own record. */
#define RULES_MAX 256u
#define REASON_TERMS 5u /* Terms that an alert or a promotion names. */

static_assert(BATCH_EVENTS_MAX * 2 <= BATCH_ROWS_MAX, "half of the rows are left for timers");

#endif
