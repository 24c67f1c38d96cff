#include "models/tree_builder.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/tree_layout.h"
#include "pipeline/base/hash.h"

#define SET_WORDS_MAX (1u << 24)
#define NONE UINT32_MAX

/* An array that grows by doubling. */
struct growing {
    void *items; /* Owned. */
    uint32_t count;
    uint32_t capacity;
};

struct tree_builder {
    const char *name;
    struct tree_ensemble *ensemble;
    struct growing columns, sets, nodes, roots, outputs, shares, means, depths;
    uint32_t *number_columns;   /* Column of [feature][zero_is_missing][missing_left], or NONE. */
    uint32_t *category_slots;   /* Hash table of columns; NONE: free. */
    uint32_t category_capacity; /* A power of two. */
    uint32_t category_count;
    uint32_t *places; /* Of a tree under way: where in `nodes` each input has gone, or NONE. */
    uint32_t *stack;  /* Of a tree under way. */
    uint32_t input_capacity;
};

static enum status out_of_memory(const struct tree_builder *builder, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: out of memory", builder->name);
}

/* Room for `more` items of `size` bytes; the items are zero. NULL when memory is exhausted. */
static void *grow(struct growing *array, uint32_t more, size_t size)
{
    if (array->capacity - array->count < more) {
        uint32_t capacity = array->capacity + more;
        capacity = capacity < 2 * array->capacity ? 2 * array->capacity : capacity;
        void *items = realloc(array->items, capacity * size);
        if (!items) {
            return NULL;
        }
        array->items = items;
        array->capacity = capacity;
    }
    void *first = (char *)array->items + array->count * size;
    memset(first, 0, more * size);
    array->count += more;
    return first;
}

static bool copy_names(struct tree_ensemble *ensemble, const struct tree_settings *settings)
{
    ensemble->objective = strdup(settings->objective);
    ensemble->facts.objective = ensemble->objective;
    if (!ensemble->objective || !settings->feature_names) {
        return ensemble->objective != NULL;
    }
    ensemble->feature_names = calloc(settings->feature_count + 1u, sizeof(char *));
    if (!ensemble->feature_names) {
        return false;
    }
    for (uint32_t i = 0; i < settings->feature_count; i++) {
        ensemble->feature_names[i] = strdup(settings->feature_names[i]);
        if (!ensemble->feature_names[i]) {
            return false;
        }
    }
    ensemble->facts.feature_names = (const char *const *)ensemble->feature_names;
    return true;
}

static enum status check_settings(const char *name, const struct tree_settings *settings,
                                  struct error *error)
{
    if (settings->feature_count == 0 || settings->feature_count > TREE_FEATURES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: %" PRIu32 " features; 1 to %u expected", name,
                         settings->feature_count, TREE_FEATURES_MAX);
    }
    if (settings->output_count == 0 || settings->output_count > TREE_OUTPUTS_MAX) {
        return error_set(error, STATUS_INVALID, "%s: %" PRIu32 " classes; 1 to %u expected", name,
                         settings->output_count, TREE_OUTPUTS_MAX);
    }
    return STATUS_OK;
}

enum status tree_builder_create(const char *name, const struct tree_settings *settings,
                                struct tree_builder **ret_builder, struct error *error)
{
    enum status status = check_settings(name, settings, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct tree_builder *builder = calloc(1, sizeof(*builder));
    if (!builder) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    builder->name = name;
    struct tree_ensemble *ensemble = builder->ensemble = calloc(1, sizeof(*ensemble));
    size_t number_columns = 4 * (size_t)settings->feature_count;
    builder->number_columns = malloc((number_columns + 1) * sizeof(uint32_t));
    if (!ensemble || !builder->number_columns ||
        !grow(&builder->columns, 1, sizeof(struct tree_column)) || /* Column 0. */
        !grow(&builder->sets, 1, sizeof(uint32_t)) || /* Also empty sets have a place. */
        !copy_names(ensemble, settings)) {
        status = out_of_memory(builder, error);
        tree_builder_destroy(builder);
        return status;
    }
    memset(builder->number_columns, 0xFF, number_columns * sizeof(uint32_t));
    ensemble->facts.maker = settings->maker;
    ensemble->facts.feature_count = settings->feature_count;
    ensemble->facts.output_count = settings->output_count;
    ensemble->facts.link = settings->link;
    ensemble->facts.link_scale = settings->link_scale;
    ensemble->facts.has_covers = true;
    ensemble->divisor = settings->divisor;
    ensemble->base = malloc(settings->output_count * sizeof(double));
    if (!ensemble->base) {
        status = out_of_memory(builder, error);
        tree_builder_destroy(builder);
        return status;
    }
    memcpy(ensemble->base, settings->base, settings->output_count * sizeof(double));
    *ret_builder = builder;
    return STATUS_OK;
}

void tree_builder_destroy(struct tree_builder *builder)
{
    if (!builder) {
        return;
    }
    tree_ensemble_unload(builder->ensemble);
    free(builder->columns.items);
    free(builder->sets.items);
    free(builder->nodes.items);
    free(builder->roots.items);
    free(builder->outputs.items);
    free(builder->shares.items);
    free(builder->means.items);
    free(builder->depths.items);
    free(builder->number_columns);
    free(builder->category_slots);
    free(builder->places);
    free(builder->stack);
    free(builder);
}

static enum status add_column(struct tree_builder *builder, struct tree_column column,
                              uint32_t *ret_column, struct error *error)
{
    uint32_t place = builder->columns.count;
    if (place == TREE_COLUMNS_MAX) {
        return error_set(error, STATUS_INVALID, "%s: more than %u different categorical splits",
                         builder->name, TREE_COLUMNS_MAX);
    }
    struct tree_column *added = grow(&builder->columns, 1, sizeof(column));
    if (!added) {
        return out_of_memory(builder, error);
    }
    *added = column;
    *ret_column = place;
    return STATUS_OK;
}

static enum status number_column(struct tree_builder *builder, const struct tree_input *input,
                                 uint32_t *ret_column, struct error *error)
{
    uint32_t *known =
        &builder->number_columns[4 * (size_t)input->feature + 2 * (size_t)input->zero_is_missing +
                                 (size_t)input->missing_left];
    if (*known == NONE) {
        struct tree_column column = {
            .kind = input->zero_is_missing ? TREE_COLUMN_NOT_ZERO : TREE_COLUMN_NUMBER,
            .feature = input->feature,
            .missing_left = input->missing_left,
        };
        enum status status = add_column(builder, column, known, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    *ret_column = *known;
    return STATUS_OK;
}

static uint64_t hash_category(const struct tree_column *column, const uint32_t *set)
{
    uint64_t flags = (uint64_t)column->missing_left | (uint64_t)column->set_left << 1 |
                     (uint64_t)column->rounds_up << 2;
    struct text words = {(const char *)set, column->set_words * (uint32_t)sizeof(uint32_t)};
    return hash64_combine(hash64(words), (uint64_t)column->feature << 3 | flags);
}

static const uint32_t *set_of(const struct tree_builder *builder, const struct tree_column *column)
{
    return (const uint32_t *)builder->sets.items + column->set_first;
}

static bool is_same_category(const struct tree_builder *builder, const struct tree_column *a,
                             const struct tree_column *b, const uint32_t *b_set)
{
    return a->feature == b->feature && a->missing_left == b->missing_left &&
           a->set_left == b->set_left && a->rounds_up == b->rounds_up &&
           a->set_words == b->set_words &&
           (a->set_words == 0 ||
            memcmp(set_of(builder, a), b_set, a->set_words * sizeof(*b_set)) == 0);
}

/* The slot of the column, or the free one where it belongs. */
static uint32_t *category_slot(struct tree_builder *builder, const struct tree_column *column,
                               const uint32_t *set)
{
    const struct tree_column *columns = builder->columns.items;
    uint32_t mask = builder->category_capacity - 1;
    uint32_t slot = (uint32_t)hash_category(column, set) & mask;
    while (builder->category_slots[slot] != NONE &&
           !is_same_category(builder, &columns[builder->category_slots[slot]], column, set)) {
        slot = (slot + 1) & mask;
    }
    return &builder->category_slots[slot];
}

static bool grow_categories(struct tree_builder *builder)
{
    if (2 * builder->category_count < builder->category_capacity) {
        return true;
    }
    uint32_t capacity = builder->category_capacity ? 2 * builder->category_capacity : 64;
    uint32_t *slots = malloc(capacity * sizeof(*slots));
    if (!slots) {
        return false;
    }
    memset(slots, 0xFF, capacity * sizeof(*slots));
    free(builder->category_slots);
    builder->category_slots = slots;
    builder->category_capacity = capacity;
    const struct tree_column *columns = builder->columns.items;
    for (uint32_t i = 0; i < builder->columns.count; i++) {
        if (columns[i].kind == TREE_COLUMN_CATEGORY) {
            *category_slot(builder, &columns[i], set_of(builder, &columns[i])) = i;
        }
    }
    return true;
}

static enum status category_column(struct tree_builder *builder, const struct tree_input *input,
                                   uint32_t *ret_column, struct error *error)
{
    struct tree_column column = {
        .kind = TREE_COLUMN_CATEGORY,
        .feature = input->feature,
        .missing_left = input->missing_left,
        .set_left = input->set_left,
        .rounds_up = input->rounds_up,
        .set_first = builder->sets.count,
        .set_words = input->set_words,
    };
    if (!grow_categories(builder)) {
        return out_of_memory(builder, error);
    }
    uint32_t *slot = category_slot(builder, &column, input->set);
    if (*slot == NONE) {
        if (input->set_words > SET_WORDS_MAX - builder->sets.count) {
            return error_set(error, STATUS_INVALID, "%s: categorical splits: too many categories",
                             builder->name);
        }
        if (input->set_words > 0) {
            uint32_t *words = grow(&builder->sets, input->set_words, sizeof(uint32_t));
            if (!words) {
                return out_of_memory(builder, error);
            }
            memcpy(words, input->set, input->set_words * sizeof(*words));
        }
        enum status status = add_column(builder, column, slot, error);
        if (status != STATUS_OK) {
            return status;
        }
        builder->category_count++;
    }
    *ret_column = *slot;
    return STATUS_OK;
}

static enum status refuse_node(const struct tree_builder *builder, uint32_t node, const char *what,
                               struct error *error)
{
    return error_set(error, STATUS_INVALID, "%s: tree %" PRIu32 ", node %" PRIu32 ": %s",
                     builder->name, builder->roots.count, node, what);
}

static enum status put_node(struct tree_builder *builder, const struct tree_input *inputs,
                            uint32_t input_count, uint32_t index, struct error *error)
{
    const struct tree_input *input = &inputs[index];
    uint32_t place = builder->places[index];
    struct tree_node node = {.threshold = 1.0f, .column = 0, .left = place};
    enum status status = STATUS_OK;
    if (input->kind == TREE_INPUT_LEAF) {
        node.value = (float)input->value;
        if (!isfinite(node.value)) {
            return refuse_node(builder, index, "leaf value that is not a finite float", error);
        }
        if (!(input->cover < INFINITY)) {
            return refuse_node(builder, index, "cover that is not finite", error);
        }
    } else {
        if (input->feature >= builder->ensemble->facts.feature_count) {
            return refuse_node(builder, index, "splits by a feature that the model has not", error);
        }
        if (input->left >= input_count || input->right >= input_count) {
            return refuse_node(builder, index, "a child is no node of the tree", error);
        }
        if (builder->places[input->left] != NONE || builder->places[input->right] != NONE ||
            input->left == input->right) {
            return refuse_node(builder, index, "a child has two parents: no tree", error);
        }
        bool is_number = input->kind == TREE_INPUT_NUMBER;
        node.threshold = is_number ? input->threshold : 0.5f;
        if (!(node.threshold > -INFINITY)) { /* Below it missing values would have no place. */
            return refuse_node(builder, index, "threshold that is no number or -infinity", error);
        }
        status = is_number ? number_column(builder, input, &node.column, error)
                           : category_column(builder, input, &node.column, error);
        if (status != STATUS_OK) {
            return status;
        }
        node.left = builder->nodes.count;
        if (node.left > TREE_NODES_MAX - 2) {
            return error_set(error, STATUS_INVALID, "%s: more than %u nodes", builder->name,
                             TREE_NODES_MAX);
        }
        if (!grow(&builder->nodes, 2, sizeof(node))) {
            return out_of_memory(builder, error);
        }
        builder->places[input->left] = node.left;
        builder->places[input->right] = node.left + 1;
    }
    ((struct tree_node *)builder->nodes.items)[place] = node;
    return status;
}

/* A leaf that no row reached still counts for a little, so that every share is above zero. */
static double leaf_cover(double cover)
{
    const double least = 1e-12;
    return cover > least ? cover : least;
}

/*
 * Shares and expectations of the nodes from `root` on; children stand behind their parents. While
 * it works, `shares` holds covers.
 */
static void weigh(struct tree_builder *builder, uint32_t root)
{
    const struct tree_node *nodes = builder->nodes.items;
    double *covers = builder->shares.items;
    double *means = builder->means.items;
    for (uint32_t i = builder->nodes.count; i-- > root;) {
        uint32_t left = nodes[i].left;
        if (left == i) {
            means[i] = (double)nodes[i].value;
        } else {
            covers[i] = covers[left] + covers[left + 1];
            means[i] =
                (covers[left] * means[left] + covers[left + 1] * means[left + 1]) / covers[i];
        }
    }
    /* From the end, so that a parent's cover is still there when its children need it: they stand
     * behind it, and each pair is divided when its parent's turn has come. */
    for (uint32_t i = builder->nodes.count; i-- > root;) {
        uint32_t left = nodes[i].left;
        if (left != i) {
            covers[left] /= covers[i];
            covers[left + 1] /= covers[i];
        }
    }
    covers[root] = 1;
}

/* Breadth first; `stack` is a queue of inputs. */
static enum status place_nodes(struct tree_builder *builder, const struct tree_input *nodes,
                               uint32_t node_count, uint32_t *ret_depth, struct error *error)
{
    uint32_t queued = 1;
    uint32_t level_end = 1;
    uint32_t depth = 0;
    builder->stack[0] = 0;
    builder->places[0] = builder->nodes.count - 1;
    for (uint32_t i = 0; i < queued; i++) {
        if (i == level_end) {
            level_end = queued;
            if (++depth > TREE_DEPTH_MAX) {
                return error_set(error, STATUS_INVALID, "%s: tree %" PRIu32 ": deeper than %u",
                                 builder->name, builder->roots.count, TREE_DEPTH_MAX);
            }
        }
        uint32_t index = builder->stack[i];
        enum status status = put_node(builder, nodes, node_count, index, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (nodes[index].kind != TREE_INPUT_LEAF) {
            builder->stack[queued++] = nodes[index].left;
            builder->stack[queued++] = nodes[index].right;
        }
    }
    *ret_depth = depth;
    return STATUS_OK;
}

static bool reserve_inputs(struct tree_builder *builder, uint32_t node_count)
{
    if (node_count > builder->input_capacity) {
        free(builder->places);
        free(builder->stack);
        builder->places = malloc(node_count * sizeof(uint32_t));
        builder->stack = malloc(node_count * sizeof(uint32_t));
        builder->input_capacity = builder->places && builder->stack ? node_count : 0;
    }
    if (builder->input_capacity < node_count) {
        return false;
    }
    memset(builder->places, 0xFF, node_count * sizeof(uint32_t));
    return true;
}

/* The places of the inputs are known: room for shares and means, the leaves' covers in place. */
static bool take_covers(struct tree_builder *builder, const struct tree_input *nodes,
                        uint32_t node_count, uint32_t root)
{
    uint32_t added = builder->nodes.count - root;
    double *shares = grow(&builder->shares, added, sizeof(double));
    if (!shares || !grow(&builder->means, added, sizeof(double))) {
        return false;
    }
    for (uint32_t i = 0; i < node_count; i++) {
        if (builder->places[i] != NONE && nodes[i].kind == TREE_INPUT_LEAF) {
            if (nodes[i].cover < 0) {
                builder->ensemble->facts.has_covers = false;
            }
            shares[builder->places[i] - root] = leaf_cover(nodes[i].cover);
        }
    }
    return true;
}

enum status tree_builder_add(struct tree_builder *builder, const struct tree_input *nodes,
                             uint32_t node_count, uint32_t output, struct error *error)
{
    struct tree_facts *facts = &builder->ensemble->facts;
    if (node_count == 0 || node_count > TREE_NODES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: tree %" PRIu32 ": no nodes, or too many",
                         builder->name, builder->roots.count);
    }
    if (output >= facts->output_count) {
        return error_set(error, STATUS_INVALID,
                         "%s: tree %" PRIu32 ": belongs to class %" PRIu32 " of %" PRIu32,
                         builder->name, builder->roots.count, output, facts->output_count);
    }
    if (builder->roots.count == TREE_COUNT_MAX || builder->nodes.count >= TREE_NODES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: more than %u trees or %u nodes", builder->name,
                         TREE_COUNT_MAX, TREE_NODES_MAX);
    }
    uint32_t root = builder->nodes.count;
    if (!reserve_inputs(builder, node_count) ||
        !grow(&builder->nodes, 1, sizeof(struct tree_node))) {
        return out_of_memory(builder, error);
    }
    uint32_t depth = 0;
    enum status status = place_nodes(builder, nodes, node_count, &depth, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!take_covers(builder, nodes, node_count, root)) {
        return out_of_memory(builder, error);
    }
    weigh(builder, root);
    uint32_t *place = grow(&builder->roots, 1, sizeof(uint32_t));
    uint32_t *kept_output = grow(&builder->outputs, 1, sizeof(uint32_t));
    uint32_t *kept_depth = grow(&builder->depths, 1, sizeof(uint32_t));
    if (!place || !kept_output || !kept_depth) {
        return out_of_memory(builder, error);
    }
    *place = root;
    *kept_output = output;
    *kept_depth = depth;
    facts->depth = depth > facts->depth ? depth : facts->depth;
    return STATUS_OK;
}

static void *hand_over(struct growing *array)
{
    void *items = array->items;
    array->items = NULL;
    return items;
}

enum status tree_builder_finish(struct tree_builder *builder, struct tree_ensemble **ret_ensemble,
                                struct error *error)
{
    struct tree_ensemble *ensemble = builder->ensemble;
    if (builder->roots.count == 0) {
        return error_set(error, STATUS_INVALID, "%s: a model without trees", builder->name);
    }
    ensemble->facts.tree_count = builder->roots.count;
    ensemble->facts.node_count = builder->nodes.count;
    ensemble->column_count = builder->columns.count;
    ensemble->columns = hand_over(&builder->columns);
    ensemble->sets = hand_over(&builder->sets);
    ensemble->nodes = hand_over(&builder->nodes);
    ensemble->roots = hand_over(&builder->roots);
    ensemble->outputs = hand_over(&builder->outputs);
    ensemble->shares = hand_over(&builder->shares);
    ensemble->means = hand_over(&builder->means);
    if (!tree_blocks_create(ensemble, builder->depths.items)) {
        return out_of_memory(builder, error);
    }
    builder->ensemble = NULL;
    *ret_ensemble = ensemble;
    return STATUS_OK;
}
