#include "test/simulation/plans.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/fakes/fixture.h"
#include "test/fakes/network_pack.h"

static const char *const texts[PLAN_COUNT] = {
    /* Every kind of rule and every limit, and a recurrent model whose state decides, too. */
    "sessions: {gap: 20m}\n"
    "predict_intent: {purchase_pack: \"%s\"}\n"
    "emit_interventions:\n"
    "  rules:\n"
    "    - {name: cart, on: {idle_cart: 10m}, promotion: {kind: reminder, valid_for: 1d},\n"
    "       cooldown: 1h, cap: {count: 2, per: 1d}, holdout: {share: 0.3, salt: spring}}\n"
    "    - {name: ended, on: session_end, if: session_events >= 2,\n"
    "       promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d},\n"
    "       budget: {count: 6, per: day}}\n"
    "    - {name: after, on: {after: {event: purchase, delay: 3h}},\n"
    "       promotion: {kind: recommendation, valid_for: 1d}, priority: 3}\n"
    "    - {name: first, on: {after: {event: add_to_cart, delay: 15s, from: first}},\n"
    "       promotion: {kind: free_shipping, valid_for: 1h}, budget: {count: 9, per: total}}\n"
    "    - {name: refused, on: [payment_failed, login_failed],\n"
    "       alert: {severity: high, reason: \"refused\", suggest: step_up}, cooldown: 5m}\n"
    "    - {name: likely, on: any, if: purchase_score > 0.5,\n"
    "       alert: {reason: \"{purchase_score:.3}\"}, cap: {count: 9, per: 1h}}\n"
    "    - {name: busy, on: any, if: session_events > 4,\n"
    "       alert: {reason: \"{session_events:.0} events\"}, cap: {count: 3, per: 1h}}\n",
    /* Short sessions, short timers, duplicates by content. */
    "dedupe: {by: content, horizon: 2h}\n"
    "sessions: {gap: 5s, late_reach: 1h}\n"
    "emit_interventions:\n"
    "  rules:\n"
    "    - {name: cart, on: {idle_cart: 2s}, promotion: {kind: reminder, valid_for: 1d}}\n"
    "    - {name: ended, on: session_end, promotion: {kind: coupon, value: 5, currency: EUR,\n"
    "       valid_for: 1d}, budget: {amount: 40, per: day}}\n"
    "    - {name: soon, on: {after: {event: product_view, delay: 1s}},\n"
    "       alert: {reason: \"looked\"}, holdout: {share: 0.5, salt: look}}\n",
    /* No rules: sessions alone. */
    "dedupe: {by: none}\n"
    "sessions: {gap: 30m, max_events: 8}\n",
};

static struct stage_plan *plans[PLAN_COUNT];

/* `text` with the pack's folder in place of %s. */
static void print_text(const char *text, const char *directory, char *out, size_t size)
{
    const char *place = strstr(text, "%s");
    int before = place ? (int)(place - text) : (int)strlen(text);
    int length = snprintf(out, size, "%.*s%s%s", before, text, place ? directory : "",
                          place ? place + 2 : "");
    assert(length >= 0 && (size_t)length < size);
    (void)length;
}

const struct stage_plan *plans_get(uint32_t variant)
{
    assert(variant < PLAN_COUNT);
    if (!plans[variant]) {
        struct error error;
        struct yaml_document *document = NULL;
        char text[4096];
        char *directory = fixture_directory(); /* The pack is needed until it is loaded. */
        network_pack_write(directory, "gru", 9, 21);
        print_text(texts[variant], directory, text, sizeof(text));
        enum status status = yaml_parse("plan", text, strlen(text), &document, &error);
        if (status == STATUS_OK) {
            status = stage_plan_load(yaml_root(document), 1, &plans[variant], &error);
        }
        yaml_unload(document);
        fixture_remove(directory);
        free(directory);
        if (status != STATUS_OK) {
            (void)fprintf(stderr, "plan %u: %s\n", variant, error.message);
            abort();
        }
    }
    return plans[variant];
}

void plans_release(void)
{
    for (uint32_t i = 0; i < PLAN_COUNT; i++) {
        stage_plan_destroy(plans[i]);
        plans[i] = NULL;
    }
}
