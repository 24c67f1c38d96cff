#include "models/xgboost_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_LEAST "1.6"

static void stay_silent(const char *message)
{
    (void)message; /* Failures are told by last_error. */
}

static enum status refuse(const char *why, struct error *error)
{
    return error_set(error, STATUS_INVALID,
                     "training trees: libxgboost %s or later expected (Debian: libxgboost-dev): %s",
                     VERSION_LEAST, why);
}

/* Stays in memory: its threads and destructors outlive a dlclose(). */
#define OPEN_FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)

static void *open_file(void)
{
    static const char *const names[] = {"libxgboost.so.0", "libxgboost.so"};
    const char *own = getenv("NUDGE_XGBOOST_LIBRARY");
    if (own) {
        return dlopen(own, OPEN_FLAGS);
    }
    void *file = NULL;
    for (size_t i = 0; !file && i < sizeof(names) / sizeof(names[0]); i++) {
        file = dlopen(names[i], OPEN_FLAGS);
    }
    return file;
}

#define MEMBER(name) offsetof(struct xgboost_library, name)
static const struct function {
    const char *name;
    size_t offset;
} functions[] = {
    {"XGBGetLastError", MEMBER(last_error)},
    {"XGBRegisterLogCallback", MEMBER(log_callback)},
    {"XGDMatrixCreateFromMat", MEMBER(matrix_create)},
    {"XGDMatrixFree", MEMBER(matrix_free)},
    {"XGDMatrixSetFloatInfo", MEMBER(matrix_set_floats)},
    {"XGDMatrixSetStrFeatureInfo", MEMBER(matrix_set_texts)},
    {"XGBoosterCreate", MEMBER(booster_create)},
    {"XGBoosterFree", MEMBER(booster_free)},
    {"XGBoosterSetParam", MEMBER(booster_set)},
    {"XGBoosterUpdateOneIter", MEMBER(booster_update)},
    {"XGBoosterPredict", MEMBER(booster_predict)},
    {"XGBoosterSlice", MEMBER(booster_slice)},
    {"XGBoosterSaveModelToBuffer", MEMBER(booster_save)},
    {"XGBoosterLoadModelFromBuffer", MEMBER(booster_load)},
    {"XGBoosterSetStrFeatureInfo", MEMBER(booster_set_texts)},
};

static enum status find_functions(struct xgboost_library *library, struct error *error)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        /* A data pointer that is a function's: POSIX says so of dlsym(), C has no cast for it. */
        void *found = dlsym(library->file, functions[i].name);
        if (!found) {
            return refuse(dlerror(), error);
        }
        memcpy((char *)library + functions[i].offset, &found, sizeof(found));
    }
    void (*version)(int *major, int *minor, int *patch);
    void *found = dlsym(library->file, "XGBoostVersion");
    if (!found) {
        return refuse(dlerror(), error);
    }
    memcpy((void *)&version, &found, sizeof(found));
    version(&library->version[0], &library->version[1], &library->version[2]);
    if (library->version[0] < 1 || (library->version[0] == 1 && library->version[1] < 6)) {
        return refuse("the one found is older", error);
    }
    return STATUS_OK;
}

enum status xgboost_library_open(struct xgboost_library *ret_library, struct error *error)
{
    struct xgboost_library library = {.file = open_file()};
    if (!library.file) {
        return refuse(dlerror(), error);
    }
    enum status status = find_functions(&library, error);
    if (status != STATUS_OK) {
        xgboost_library_close(&library);
        return status;
    }
    (void)library.log_callback(stay_silent);
    *ret_library = library;
    return STATUS_OK;
}

void xgboost_library_close(struct xgboost_library *library)
{
    if (library->file) {
        (void)dlclose(library->file);
    }
    *library = (struct xgboost_library){0};
}
