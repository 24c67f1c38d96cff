/* For steps of a test that are not what it tests. */
#ifndef TEST_FAKES_MUST_H
#define TEST_FAKES_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/base/status.h"

/* Fails the test with the error's message where `status` is not OK. */
static inline void must(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        fail_msg("%s", error->message);
    }
}

#endif
