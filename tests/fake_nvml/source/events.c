#define _GNU_SOURCE
/* Events: `event.<serial>` of the driver holds "gpu type data instance compute_instance", `events` the newest serial.
 * A set delivers each event once, and only those that came after the GPU was registered with it. */
#include "fake.h"
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { SETS = 64, KEPT = 256, LONGEST_WAIT_MS = 1000 };

typedef struct {
    int used;
    u64 types[MAX_GPUS], next[MAX_GPUS]; /* by GPU: what is asked for, and the serial from which on */
} set_t;
static set_t sets[SETS]; /* never given back to the system: a thread may still wait on a set that is freed */

typedef struct {
    gpu_t *gpu;
    u64 type, data;
    unsigned instance, compute_instance;
} event_t;

int nvmlEventSetCreate(set_t **set) {
    int code = driver_ready();
    for (int i = 0; code == OK && i < SETS; i++) {
        if (__atomic_exchange_n(&sets[i].used, 1, __ATOMIC_ACQ_REL)) continue;
        memset(sets[i].types, 0, sizeof sets[i].types);
        return *set = &sets[i], OK;
    }
    return code == OK ? OUT_OF_MEMORY : code;
}

int nvmlEventSetFree(set_t *set) {
    if (!set || !set->used) return INVALID;
    __atomic_store_n(&set->used, 0, __ATOMIC_RELEASE);
    return OK;
}

int nvmlDeviceGetSupportedEventTypes(gpu_t *gpu, u64 *types) {
    int code = answer_large(gpu, "event_types", types);
#ifdef OLD_DRIVER
    if (code == OK) *types &= 0x1F;
#endif
    return code;
}

int nvmlDeviceRegisterEvents(gpu_t *gpu, u64 types, set_t *set) {
    u64 known;
    int code = nvmlDeviceGetSupportedEventTypes(gpu, &known);
    if (code != OK) return code;
    if (!set || !set->used) return INVALID;
    if (types & ~known) return UNSUPPORTED;
    if (!set->types[gpu->index]) set->next[gpu->index] = driver_number("events", 0) + 1;
    set->types[gpu->index] |= types;
    return OK;
}

/* The oldest event that the set has not delivered; 0 when there is none. */
static int oldest(set_t *set, event_t *event) {
    char key[32], text[LINE];
    u64 newest = driver_number("events", 0);
    for (u64 serial = newest > KEPT ? newest - KEPT : 1; serial <= newest; serial++) {
        unsigned gpu, instance = ALL, compute_instance = ALL;
        u64 type, data;
        snprintf(key, sizeof key, "event.%llu", serial);
        if (!state_find(DRIVER, key, NULL, text)) continue;
        if (sscanf(text, "%u %llu %llu %u %u", &gpu, &type, &data, &instance, &compute_instance) < 3 || gpu >= MAX_GPUS) continue;
        if (!(set->types[gpu] & type) || serial < set->next[gpu]) continue;
        set->next[gpu] = serial + 1;
        *event = (event_t){&gpus[gpu], type, data, instance, compute_instance};
        return 1;
    }
    return 0;
}

static int any_lost(const set_t *set) {
    value_t value;
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        if (set->types[gpu] && state_find(gpu, "lost", &value, NULL) && value.number) return 1;
    return 0;
}

/* Sleep until another state file has come, or for so long. */
static void await_change(int watch, int ms) {
    char news[4096];
    struct pollfd ready = {watch, POLLIN, 0};
    if (watch < 0) { usleep(20000); return; }
    if (poll(&ready, 1, ms < LONGEST_WAIT_MS ? ms : LONGEST_WAIT_MS) > 0 && read(watch, news, sizeof news) < 0) usleep(1000);
}

static int watch_file(void) {
    char path[LINE];
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof path, "%s", getenv("FAKE_NVML_STATE") ? getenv("FAKE_NVML_STATE") : "");
    if (watch >= 0) inotify_add_watch(watch, dirname(path), IN_MOVED_TO | IN_CLOSE_WRITE);
    return watch;
}

int nvmlEventSetWait_v2(set_t *set, event_t *event, unsigned timeout_ms) {
    double until_s = monotonic_s() + timeout_ms / 1000.0;
    int code, watch = -1;
    if (!set || !event) return INVALID;
    for (;;) {
        if ((code = driver_ready()) != OK) break;
        if ((code = oldest(set, event) ? OK : any_lost(set) ? GPU_LOST : TIMEOUT) != TIMEOUT) break;
        double left_s = until_s - monotonic_s();
        if (left_s <= 0 || !set->used) break;
        if (watch < 0) { watch = watch_file(); continue; } /* look once more: it may have changed just before */
        await_change(watch, (int)(left_s * 1000) + 1);
    }
    if (watch >= 0) close(watch);
    return code;
}

typedef struct { gpu_t *gpu; u64 type, data; } old_event_t;

int nvmlEventSetWait(set_t *set, old_event_t *event, unsigned timeout_ms) {
    event_t whole;
    int code = nvmlEventSetWait_v2(set, &whole, timeout_ms);
    if (code == OK) *event = (old_event_t){whole.gpu, whole.type, whole.data};
    return code;
}
