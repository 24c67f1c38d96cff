/*
 * How an ensemble lies in memory; shared by builder, kernels and reasons.
 *
 * Every split is "column < threshold goes left". A column is a feature, seen so that missing values
 * need no branch: for splits that send them left they read -infinity, for the others +infinity. A
 * categorical split has a column of its own, 0 for left and 1 for right. Column 0 is 0 in every
 * row; leaves test it against 1, go left, and their left is themselves.
 *
 * Rows are scored in tiles of 16: float tile[column][16].
 */
#ifndef MODELS_TREE_LAYOUT_H
#define MODELS_TREE_LAYOUT_H

#include "models/tree_ensemble.h"

#define TREE_TILE_ROWS 16u
#define TREE_BLOCK_TREES 8u

/* Trees up to here are stored complete, with 2^depth leaves, since a vector kernel then compares
 * at all nodes without a branch; beyond, walking is cheaper. */
#define TREE_COMPLETE_DEPTH_MAX 6u

enum tree_column_kind {
    TREE_COLUMN_ZERO,     /* Column 0. */
    TREE_COLUMN_NUMBER,   /* The feature, missing values as infinity. */
    TREE_COLUMN_NOT_ZERO, /* The same, and what LightGBM takes for zero is missing too. */
    TREE_COLUMN_CATEGORY, /* 0 or 1. */
};

struct tree_column {
    enum tree_column_kind kind;
    uint32_t feature;
    bool missing_left;
    /* TREE_COLUMN_CATEGORY: words [set_first, set_first + set_words) of `sets` hold one bit a
     * category, set for those that go left if set_left, else for those that go right. Others go
     * the other way. */
    bool set_left;
    bool rounds_up; /* Values in (-1, 0) are category 0, else none. */
    uint32_t set_first;
    uint32_t set_words;
};

struct tree_node {
    float threshold;
    uint32_t column;
    uint32_t left; /* Index in `nodes`; the right child is the next one. A leaf: its own. */
    float value;   /* Of a leaf. */
};

struct tree_split {
    float threshold;
    uint32_t offset; /* Of the column in a tile: 16 times its number. */
};

/* Up to 8 trees that follow each other, walked side by side. */
struct tree_block {
    uint32_t first_tree;
    uint32_t tree_count;
    uint32_t depth; /* Of the deepest. */
    bool is_complete;
    /* Complete: tree i of the block has its splits, in the order of a heap, at
     * splits[first_split + i (2^depth - 1)] and its leaves at leaves[first_leaf + i 2^depth]. */
    uint32_t first_split;
    uint32_t first_leaf;
};

struct tree_ensemble {
    struct tree_facts facts;
    char *objective;      /* Owned, as are all below. */
    char **feature_names; /* Or NULL. */
    double *base;         /* [output_count] */
    double divisor;
    struct tree_column *columns;
    uint32_t column_count;
    uint32_t *sets;
    struct tree_node *nodes;
    uint32_t *roots;   /* [tree_count] */
    uint32_t *outputs; /* [tree_count]: which margin the tree adds to. */
    struct tree_block *blocks;
    uint32_t block_count;
    struct tree_split *splits;
    float *leaves;
    /* For the reasons, by node: the share of the parent's training rows, and the expectation. */
    double *shares;
    double *means;
};

struct tree_shapley; /* See tree_shapley.h. */

struct tree_scratch {
    float *tile;           /* [column_count][16] */
    double *sums;          /* [output_count][16] */
    double *contributions; /* [feature_count] */
    struct tree_shapley *shapley;
};

/* Cuts the ensemble's trees, of `depths`, into blocks. False when memory is exhausted. */
MUST_CHECK bool tree_blocks_create(struct tree_ensemble *ensemble, const uint32_t *depths);

/* Rows of floats that a call scores. */
struct tree_rows {
    const float *features;
    uint32_t stride;
    const uint32_t *columns; /* Feature f stands in column columns[f]; NULL: in column f. */
    const uint32_t *rows;    /* Row i is rows[i]; NULL: i. */
};

/* Fills lanes 0 to count - 1 of the tile with rows first to first + count - 1. */
void tree_columns_fill(const struct tree_ensemble *ensemble, const struct tree_rows *rows,
                       uint32_t first, uint32_t count, float *tile);

#endif
