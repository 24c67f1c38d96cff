/* Random numbers from a seed: splitmix64 (Steele, Lea, Flood 2014). Same bits on every machine. */
#ifndef MODELS_RANDOM_STREAM_H
#define MODELS_RANDOM_STREAM_H

#include <stdint.h>

struct random_stream {
    uint64_t state;
};

static inline uint64_t random_stream_next(struct random_stream *stream)
{
    stream->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = stream->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A stream of its own for (seed, number). */
static inline struct random_stream random_stream_of(uint64_t seed, uint64_t number)
{
    struct random_stream stream = {seed};
    stream.state = random_stream_next(&stream) ^ number;
    stream.state = random_stream_next(&stream);
    return stream;
}

/* In [0, 1), 24 bits. */
static inline float random_stream_unit(struct random_stream *stream)
{
    return (float)(random_stream_next(stream) >> 40) * 0x1p-24f;
}

/* In [0, count), count below 2^32. */
static inline uint32_t random_stream_below(struct random_stream *stream, uint32_t count)
{
    return (uint32_t)((random_stream_next(stream) >> 32) * count >> 32);
}

#endif
