/* Writes the pack of a network that training has made; see pack_writer.h. */
#ifndef MODELS_PACK_NETWORK_WRITE_H
#define MODELS_PACK_NETWORK_WRITE_H

#include "models/pack_writer.h"
#include "models/train_network.h"

/* `quantiles` are in the order of the fit's features. */
MUST_CHECK enum status pack_network_write(const char *directory, const struct pack_text *text,
                                          const struct network_fit *fit,
                                          const struct pack_quantiles *quantiles,
                                          struct error *error);

#endif
