#include "operators/feature_gap.h"

#include "pipeline/base/fixed_math.h"

#define SPREAD_MIN 0.1 /* A clockwork user must not turn a tenth of a second into ten sigma. */
#define FAST_MS 1000
#define REGULAR_PARTS 10

static double write_last(const struct user_gaps *gaps, int64_t gap_ms, float *row)
{
    double gap_s = (double)gap_ms / 1000.0;
    double log_gap = fixed_log1p(gap_s);
    row[FEATURE_GAP_LAST] = (float)gap_s;
    if (gaps->count >= 2) {
        double spread = feature_spread(gaps->log_squares, gaps->count);
        spread = spread > SPREAD_MIN ? spread : SPREAD_MIN;
        row[FEATURE_GAP_DEVIATION] = (float)((log_gap - gaps->log_mean) / spread);
    }
    return log_gap;
}

static void observe_in_session(struct user_gaps *gaps, struct user_session *session,
                               uint32_t gap_ms)
{
    int64_t change_ms = (int64_t)gap_ms - gaps->last_ms;
    change_ms = change_ms < 0 ? -change_ms : change_ms;
    if (session->gaps > 0 && change_ms * REGULAR_PARTS <= gaps->last_ms) {
        feature_count16(&gaps->regular);
    }
    feature_count16(&session->gaps);
    if (gap_ms < FAST_MS) {
        feature_count16(&session->fast_gaps);
    }
    gaps->last_ms = gap_ms;
}

void gaps_observe(struct user_gaps *gaps, struct user_session *session,
                  const struct feature_event *event, float *row)
{
    if (event->session_step == SESSION_STEP_OPENS) {
        gaps->regular = 0;
        gaps->last_ms = 0;
    }
    if (event->newest_ms < 0) {
        return;
    }
    int64_t gap_ms = event->time_ms - event->newest_ms;
    double log_gap = write_last(gaps, gap_ms, row);
    /* A full counter stays, so that from there on the mean forgets slowly. */
    feature_count16(&gaps->count);
    feature_welford(&gaps->log_mean, &gaps->log_squares, log_gap, gaps->count);
    if (gaps->count == UINT16_MAX) {
        gaps->log_squares -= gaps->log_squares / UINT16_MAX;
    }
    if (event->session_step == SESSION_STEP_SAME) {
        observe_in_session(gaps, session, gap_ms < UINT32_MAX ? (uint32_t)gap_ms : UINT32_MAX);
    }
}

void gaps_peek(const struct user_gaps *gaps, const struct feature_event *event, float *row)
{
    if (event->newest_ms >= 0) {
        (void)write_last(gaps, event->now_ms - event->newest_ms, row);
    }
}

void gaps_write(const struct user_gaps *gaps, const struct user_session *session, float *row)
{
    if (gaps->count >= 1) {
        row[FEATURE_GAP_LOG_MEAN] = (float)gaps->log_mean;
    }
    if (gaps->count >= 2) {
        row[FEATURE_GAP_LOG_SPREAD] = (float)feature_spread(gaps->log_squares, gaps->count);
    }
    if (session->gaps >= 2) {
        row[FEATURE_GAP_REGULAR_SHARE] = feature_ratio(gaps->regular, session->gaps - 1);
    }
    row[FEATURE_GAP_FAST_SHARE] = feature_ratio(session->fast_gaps, session->gaps);
}
