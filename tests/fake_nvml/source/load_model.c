/* The load model: from a target utilisation follow power, temperature, energy, clocks and throttling, in real time.
 *
 * `load` of a GPU holds when each target began: "t:utilisation[:power limit in mW[:ambient in C]]", comma between, t in seconds of the
 * monotonic clock; a limit of 0 is the profile's. The model is a function of that text and the time alone, in steps of 50 ms, so that all processes see the same. It
 * runs a little behind, so that a target is in the file before its first step is made. */
#include "fake.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_PER_S = 20, BEHIND = 2, REMEMBERED = 64, SEGMENTS = 128 };
static const double STEP_S = 1.0 / STEPS_PER_S;

typedef struct { long long begin; double util, limit_w, ambient_c; } segment_t;

typedef struct {
    char text[LINE];
    segment_t segments[SEGMENTS];
    int count, at; /* segments, and the one in force */
    double idle_w, max_w, slowdown_c, idle_mhz, max_mhz;
    long long step;
    double util, watts, temp_c, thermal_clock, clock; /* clocks: 1 is the highest */
    double joules, work;                              /* work: seconds at full use and clock */
    unsigned reasons;                                 /* nvmlClocksEventReasons */
    u64 power_ns, software_ns, hardware_ns;
    double past_watts[REMEMBERED], past_work[REMEMBERED];
} model_t;

static model_t models[MAX_GPUS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long long step_of(double at_s) { return (long long)floor(at_s * STEPS_PER_S + 1e-6); }

/* A load may have begun before the machine did, in a test: then steps are below 0. */
static int slot(long long step) { return (int)((step % REMEMBERED + REMEMBERED) % REMEMBERED); }

static double profile_number(int gpu, const char *key) {
    char profile[LINE] = "h100";
    if (!state_find(gpu, "profile", NULL, profile)) state_find(DRIVER, "profile", NULL, profile);
    for (int i = 0; i < default_count(); i++)
        if (strcmp(default_key(i), key) == 0 && default_text(i, profile)) return atof(default_text(i, profile));
    return 0;
}

static void read_segments(model_t *model) {
    char text[LINE], *rest;
    memcpy(text, model->text, sizeof text);
    model->count = 0;
    for (char *word = strtok_r(text, ",", &rest); word && model->count < SEGMENTS; word = strtok_r(NULL, ",", &rest)) {
        double at_s = 0, util = 0, limit_mw = 0, ambient_c = 30;
        sscanf(word, "%lf:%lf:%lf:%lf", &at_s, &util, &limit_mw, &ambient_c);
        model->segments[model->count++] = (segment_t){step_of(at_s), util, limit_mw ? limit_mw / 1000 : model->max_w, ambient_c};
    }
}

static double warmth(const model_t *model, double watts) { return 40 * watts / model->max_w; } /* above the ambient, in the end */

static void begin(model_t *model, int gpu, const char *text) {
    *model = (model_t){
        .idle_w = profile_number(gpu, "power_mw") / 1000, .max_w = profile_number(gpu, "power_max_mw") / 1000,
        .slowdown_c = profile_number(gpu, "temp_slowdown"), .idle_mhz = profile_number(gpu, "sm_mhz"),
        .max_mhz = profile_number(gpu, "sm_max_mhz"), .thermal_clock = 1, .clock = 1, .reasons = 1,
    };
    snprintf(model->text, sizeof model->text, "%s", text);
    read_segments(model);
    model->step = model->segments[0].begin;
    model->watts = model->idle_w;
    model->temp_c = model->segments[0].ambient_c + warmth(model, model->idle_w);
    for (int i = 0; i < REMEMBERED; i++) model->past_watts[i] = model->idle_w;
}

/* The highest clock that each limit allows; power goes with the square of the clock. */
static void throttle(model_t *model, const segment_t *now) {
    double load_w = model->util * (1.1 * model->max_w - model->idle_w);
    double spare_w = fmax(now->limit_w - model->idle_w, 0);
    double power_clock = load_w > spare_w ? sqrt(spare_w / load_w) : 1;
    int hot = model->temp_c > model->slowdown_c, too_hot = model->temp_c > model->slowdown_c + 3;
    model->thermal_clock += hot ? -0.01 : model->temp_c < model->slowdown_c - 3 ? 0.01 : 0;
    model->thermal_clock = fmin(fmax(model->thermal_clock, 0.2), 1);
    double software_clock = fmin(power_clock, model->thermal_clock);
    model->clock = too_hot ? fmin(software_clock, 0.5) : software_clock;
    model->watts = model->idle_w + load_w * model->clock * model->clock;
    model->reasons = model->util < 0.01 ? 0x1 : 0;
    if (power_clock < 1 && power_clock <= model->clock) model->reasons |= 0x4;
    if (model->thermal_clock < 1 && model->thermal_clock <= model->clock) model->reasons |= 0x20;
    if (too_hot) model->reasons |= 0x40 | 0x8;
}

static void make_step(model_t *model) {
    const u64 step_ns = 1000000000 / STEPS_PER_S;
    while (model->at + 1 < model->count && model->segments[model->at + 1].begin <= model->step) model->at++;
    const segment_t *now = &model->segments[model->at];
    model->util += fabs(now->util - model->util) < 0.005 ? now->util - model->util : (now->util - model->util) * 0.1;
    throttle(model, now);
    model->temp_c += (now->ambient_c + warmth(model, model->watts) - model->temp_c) * STEP_S / 10;
    model->joules += model->watts * STEP_S;
    model->work += model->util * model->clock * STEP_S;
    if (model->reasons & 0x4) model->power_ns += step_ns;
    if (model->reasons & 0x20) model->software_ns += step_ns;
    if (model->reasons & 0x40) model->hardware_ns += step_ns;
    model->step++;
    model->past_watts[slot(model->step)] = model->watts;
    model->past_work[slot(model->step)] = model->work;
}

/* The model of a GPU as of now; NULL where it has no load. The caller holds the lock. */
static model_t *current(const gpu_t *gpu) {
    char text[LINE];
    if (gpu->mig != NOBODY || !state_find(gpu->index, "load", NULL, text) || !*text) return NULL;
    model_t *model = &models[gpu->index];
    if (strcmp(model->text, text) != 0) {
        size_t known = strlen(model->text);
        int more = known && strncmp(model->text, text, known) == 0;
        snprintf(model->text, sizeof model->text, "%s", text);
        if (more) read_segments(model);
        if (!more || model->segments[model->count - 1].begin < model->step) begin(model, gpu->index, text);
    }
    for (long long until = step_of(monotonic_s()) - BEHIND; model->step < until;) make_step(model);
    return model;
}

static double mean_watts(const model_t *model) {
    double sum = 0;
    for (int i = 0; i < STEPS_PER_S; i++) sum += model->past_watts[slot(model->step - i)];
    return sum / STEPS_PER_S;
}

static double value_named(const model_t *model, const char *key) {
    const double gib = 1 << 30;
    if (!strcmp(key, "util")) return round(100 * model->util);
    if (!strcmp(key, "mem_util")) return round(60 * model->util);
    if (!strcmp(key, "power_mw")) return round(1000 * mean_watts(model));
    if (!strcmp(key, "power_instant_mw")) return round(1000 * model->watts);
    if (!strcmp(key, "power_limit_mw")) return round(1000 * model->segments[model->at].limit_w);
    if (!strcmp(key, "energy_mj")) return floor(1000 * model->joules);
    if (!strcmp(key, "temp")) return round(model->temp_c);
    if (!strcmp(key, "hbm_temp")) return round(model->temp_c + 8 * model->util);
    if (!strcmp(key, "temp_margin")) return round(model->slowdown_c - model->temp_c);
    if (!strcmp(key, "sm_mhz")) return model->util < 0.01 ? model->idle_mhz : round(model->max_mhz * model->clock);
    if (!strcmp(key, "clock_reasons")) return model->reasons;
    if (!strcmp(key, "throttled_power_ns")) return (double)model->power_ns;
    if (!strcmp(key, "throttled_thermal_ns")) return (double)(model->software_ns + model->hardware_ns);
    if (!strcmp(key, "throttled_sw_thermal_ns")) return (double)model->software_ns;
    if (!strcmp(key, "throttled_hw_thermal_ns")) return (double)model->hardware_ns;
    if (!strcmp(key, "pcie_tx_bytes")) return floor(2 * gib * model->work);
    if (!strcmp(key, "pcie_rx_bytes")) return floor(4 * gib * model->work);
    if (!strcmp(key, "pcie_tx_kib_s")) return floor(2 * gib / 1024 * model->util * model->clock);
    if (!strcmp(key, "pcie_rx_kib_s")) return floor(4 * gib / 1024 * model->util * model->clock);
    if (!strcmp(key, "nvlink_tx_kib") || !strcmp(key, "nvlink_rx_kib")) return floor(100 * gib / 1024 * model->work);
    return NAN;
}

int modelled(const gpu_t *gpu, const char *key, double *value) {
    pthread_mutex_lock(&lock);
    const model_t *model = current(gpu);
    double found = model ? value_named(model, key) : NAN;
    pthread_mutex_unlock(&lock);
    if (!isnan(found)) *value = found;
    return !isnan(found);
}

int modelled_work(const gpu_t *gpu, double at_s, double *work) {
    pthread_mutex_lock(&lock);
    const model_t *model = current(gpu);
    if (model) *work = model->past_work[slot(step_of(at_s) - BEHIND)];
    pthread_mutex_unlock(&lock);
    return model != NULL;
}
