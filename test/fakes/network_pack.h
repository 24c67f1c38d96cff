/* Packs of networks with random weights, for tests of the stages. */
#ifndef TEST_FAKES_NETWORK_PACK_H
#define TEST_FAKES_NETWORK_PACK_H

#include <stdint.h>

/*
 * Writes a pack of kind mlp, gru or lstm over five features of the program's set to `directory`,
 * one of them embedded, with weights from the seed; scores are spread around 0.5.
 */
void network_pack_write(const char *directory, const char *kind, uint32_t hidden, uint64_t seed);

#endif
