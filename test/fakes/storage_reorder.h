/*
 * A storage that breaks the order of the commit: writes below one folder are held back until a file
 * elsewhere has been synced. With the outputs held back, the frame that commits them is durable
 * first. Tests use it to show that they would notice.
 */
#ifndef TEST_FAKES_STORAGE_REORDER_H
#define TEST_FAKES_STORAGE_REORDER_H

#include "pipeline/commit/storage.h"

struct storage_reorder;
struct storage_reorder *storage_reorder_create(struct storage *storage, const char *held_prefix);
void storage_reorder_destroy(struct storage_reorder *reorder);
struct storage *storage_reorder_storage(struct storage_reorder *reorder);

#endif
