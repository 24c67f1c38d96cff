/*
 * Any bytes are a Markov table or a message. Of what is accepted each row sums to 1, and its
 * contexts follow one another as looking back finds them.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "models/markov_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STATES 3u
static const char *const states[STATES] = {"view", "cart", "buy"};

static void check_table(const struct markov *table)
{
    static struct markov_index index;
    markov_index_make(table, &index);
    for (uint32_t row = 0; row < STATES + table->context_count; row++) {
        double sum = table->leave[row];
        for (uint32_t to = 0; to < STATES; to++) {
            sum += table->step[row][to];
        }
        assert(fabs(sum - 1) < 1e-6 && table->leave[row] >= MARKOV_LEAVE_MIN * 0.999);
    }
    for (uint32_t way = 0; way < 243; way++) { /* Five steps of each kind. */
        struct markov_history history = {{0}};
        uint32_t row = 0;
        for (uint32_t step = 0, left = way; step < 5; step++, left /= STATES) {
            uint32_t state = left % STATES;
            row = step == 0 ? index.triple[state + 1][MARKOV_START][MARKOV_START]
                            : markov_next_row(table, &index, row, state);
            markov_history_add(&history, state);
            assert(row == index.triple[history.last[0]][history.last[1]][history.last[2]]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof(path), "/tmp/nudge-markov-fuzz-%ld", (long)getpid());
    }
    FILE *file = fopen(path, "wb");
    assert(file);
    assert(fwrite(data, 1, size, file) == size);
    assert(fclose(file) == 0);
    struct markov_pack *pack = NULL;
    struct error error = {{0}};
    if (markov_pack_load(path, states, STATES, &pack, &error) == STATUS_OK) {
        check_table(&pack->table);
        markov_pack_unload(pack);
    } else {
        assert(error.message[0] != '\0');
    }
    return 0;
}
