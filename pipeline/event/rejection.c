#include "pipeline/event/rejection.h"

#define REJECTION_NAME(ENUM, name, doc) name,
const char *const rejection_names[REJECTION_COUNT] = {REJECTIONS(REJECTION_NAME)};

#define REJECTION_DOC(ENUM, name, doc) doc,
const char *const rejection_docs[REJECTION_COUNT] = {REJECTIONS(REJECTION_DOC)};
