/* GPU performance monitoring: what lies between two samples of counters that only grow.
 *
 * `gpm.<id>` in the state file is what a metric is now, in the unit of nvml.h (per cent or MiB/s); a sample holds its integral over time, so
 * that the answer is the mean between the samples even when the value changed meanwhile. Counters are refreshed every 100 ms: two samples
 * of one refresh have nothing between them, and the answer is NaN. Two threads in one sample end the process, where a real node panics. */
#include "fake.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef OLD_DRIVER
enum { METRICS = 104, SAMPLE = 0x47504D53 }; /* up to NVML_GPM_METRIC_C2C_DATA_RX_PER_SEC */

typedef struct {
    int magic;
    atomic_flag busy;
    const gpu_t *gpu;
    double at_s, integrals[METRICS];
    char known[METRICS];
} sample_t;

typedef struct {
    unsigned id;
    int code;
    double value;
    const char *short_name, *long_name, *unit;
} metric_t;

typedef struct {
    unsigned version, count;
    sample_t *first, *second;
    metric_t metrics[]; /* 477 of them in nvidia-ml-py 13 */
} metrics_t;

typedef struct { unsigned version, supported; } support_t;

static void enter(sample_t *sample) {
    if (!atomic_flag_test_and_set(&sample->busy)) return;
    fputs("fake NVML: two threads use one GPM sample; a real driver has panicked the node for less\n", stderr);
    abort();
}

int nvmlGpmQueryDeviceSupport(gpu_t *gpu, support_t *support) {
    if (support->version != 1) return VERSION_MISMATCH;
    int code = gpu_ready(gpu, "name");
    if (code == OK) support->supported = supported(gpu, "gpm") == OK && number_of(gpu, "gpm");
    return code;
}

int nvmlGpmSampleAlloc(sample_t **sample) {
    int code = driver_ready();
    if (code != OK) return code;
    if (!(*sample = calloc(1, sizeof **sample))) return OUT_OF_MEMORY;
    (*sample)->magic = SAMPLE;
    return OK;
}

int nvmlGpmSampleFree(sample_t *sample) {
    if (!sample || sample->magic != SAMPLE) return INVALID;
    enter(sample);
    sample->magic = 0;
    free(sample);
    return OK;
}

/* What Hopper measures even while nothing happens; traffic is not known of a MIG instance. */
static int measured(const gpu_t *gpu, int id) {
    return (id >= 1 && id <= 13) || (gpu->mig == NOBODY && (id == 20 || id == 21 || id == 60 || id == 61));
}

/* What a second of full work is in each metric, by the load model. */
static const double of_work[METRICS] = {
    [1] = 100, [2] = 95, [3] = 45, [4] = 20, [5] = 55, [7] = 55, [10] = 60, [12] = 10, [13] = 8,
    [20] = 2048, [21] = 4096, [60] = 102400, [61] = 102400,
};

static void fill(const gpu_t *gpu, sample_t *sample) {
    char key[16];
    double work = 0;
    sample->gpu = gpu;
    sample->at_s = floor(monotonic_s() * 10) / 10;
    modelled_work(gpu, sample->at_s, &work);
    for (int id = 1; id < METRICS; id++) {
        snprintf(key, sizeof key, "gpm.%d", id);
        sample->known[id] = (char)measured(gpu, id);
        sample->integrals[id] = of_work[id] * work;
        if (state_integral(owner_of(gpu), key, sample->at_s, &sample->integrals[id])) sample->known[id] = 1;
    }
}

static int take(gpu_t *gpu, sample_t *sample) {
    int code = gpu_ready(&gpus[gpu->index], "gpm");
    if (code != OK) return code;
    if (!sample || sample->magic != SAMPLE) return INVALID;
    enter(sample);
    fill(gpu, sample);
    atomic_flag_clear(&sample->busy);
    return OK;
}

int nvmlGpmSampleGet(gpu_t *gpu, sample_t *sample) { return gpu ? take(gpu, sample) : INVALID; }

int nvmlGpmMigSampleGet(gpu_t *gpu, unsigned instance, sample_t *sample) {
    value_t id;
    int code = gpu_ready(gpu, "gpm");
    if (code != OK) return code;
    for (int k = 0; k < MAX_MIGS; k++)
        if (state_find(owner_of(&migs[gpu->index][k]), "gi", &id, NULL) && id.number == instance)
            return take(&migs[gpu->index][k], sample);
    return NOT_FOUND;
}

static void between(const sample_t *first, const sample_t *second, metric_t *metric) {
    metric->code = metric->id < METRICS && first->known[metric->id] && second->known[metric->id] ? OK : UNSUPPORTED;
    if (metric->code != OK) return;
    double mean = (second->integrals[metric->id] - first->integrals[metric->id]) / (second->at_s - first->at_s);
    metric->value = round(mean * 1e6) / 1e6; /* sheds what the subtraction of large sums left behind */
}

int nvmlGpmMetricsGet(metrics_t *get) {
    int code = driver_ready();
    if (code != OK) return code;
    if (get->version != 1) return VERSION_MISMATCH;
    if (!get->first || !get->second || get->first == get->second) return INVALID;
    if (get->first->magic != SAMPLE || get->second->magic != SAMPLE) return INVALID;
    if (!get->first->gpu || get->first->gpu != get->second->gpu) return INVALID;
    enter(get->first);
    enter(get->second);
    for (unsigned i = 0; i < get->count; i++) between(get->first, get->second, &get->metrics[i]);
    atomic_flag_clear(&get->first->busy);
    atomic_flag_clear(&get->second->busy);
    return OK;
}
#endif
