#define _GNU_SOURCE
/* Sessions with the driver, and how the driver and its GPUs misbehave: what comes before each answer. */
#include "fake.h"
#include <stdlib.h>
#include <stdio.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int sessions;
static atomic_ullong loaded; /* which load of the driver the sessions began under, see `reload` */

/* Whether a fault that is a switch ("1") or a list of quantities ("compute,temp") concerns this quantity. */
static int concerns(int owner, const char *fault, const char *quantity) {
    value_t value;
    char list[LINE];
    if (!state_find(owner, fault, &value, list)) return 0;
    return value.number ? 1 : listed(list, quantity);
}

static void hang_while(int owner, const char *quantity) {
    while (concerns(owner, "hang", quantity)) {
        usleep(10000);
        state_refresh();
    }
}

/* Take as long as "slow" says: "30" milliseconds for each call, "30:compute,temp" for these alone. */
static void take_time(int owner, const char *quantity) {
    value_t ms;
    char text[LINE], *list;
    if (!state_find(owner, "slow", &ms, text) || !ms.number) return;
    strtoull(text, &list, 10);
    if (*list != ':' || listed(list + 1, quantity)) usleep((useconds_t)ms.number * 1000);
}

int begin_session(void) {
    state_refresh();
    if (driver_number("chatter", 0)) { puts("a library that writes to standard output"); fflush(stdout); }
    hang_while(DRIVER, "init");
    take_time(DRIVER, "init");
    int code = (int)driver_number("init_error", OK);
    if (code != OK) return code;
    if (atomic_load(&loaded) != driver_number("reload", 0)) atomic_store(&sessions, 0);
    atomic_store(&loaded, driver_number("reload", 0));
    atomic_fetch_add(&sessions, 1);
    return OK;
}

int end_session(void) {
    if (atomic_load(&sessions) == 0) return UNINITIALIZED;
    atomic_fetch_sub(&sessions, 1);
    return OK;
}

int driver_ready(void) {
    state_refresh();
    if (atomic_load(&sessions) == 0) return UNINITIALIZED;
    hang_while(DRIVER, "all");
    take_time(DRIVER, "all");
    return atomic_load(&loaded) == driver_number("reload", 0) ? OK : UNINITIALIZED;
}

/* What nvml.h says a GPU that is cut by MIG does not tell. */
static const char not_with_mig[] = "util,mem_util,encoder,decoder,proc_util,remap_correctable,remap_uncorrectable,remap_pending,remap_failed";

int supported(const gpu_t *gpu, const char *quantity) {
    char key[128], list[LINE];
    value_t code;
    int owner = owner_of(gpu);
    if (!state_find(owner, quantity, NULL, NULL)) return UNSUPPORTED;
    if (in_mig_mode(gpu) && listed(not_with_mig, quantity)) return UNSUPPORTED;
    if (state_find(owner, "unsupported", NULL, list) && listed(list, quantity)) return UNSUPPORTED;
    snprintf(key, sizeof key, "error.%s", quantity);
    return state_find(owner, key, &code, NULL) ? (int)code.number : OK;
}

/* The faults of a whole GPU; its MIG instances share them. */
static int broken(int owner, const char *quantity) {
    value_t value;
    if (concerns(owner, "crash", quantity)) abort();
    hang_while(owner, quantity);
    take_time(owner, quantity);
    if (state_find(owner, "lost", &value, NULL) && value.number) return GPU_LOST;
    if (state_find(owner, "reset_required", &value, NULL) && value.number) return RESET_REQUIRED;
    return state_find(owner, "error", &value, NULL) ? (int)value.number : OK;
}

int gpu_ready(const gpu_t *gpu, const char *quantity) {
    int code = driver_ready();
    if (code == OK && !gpu) code = INVALID;
    if (code == OK && (u64)gpu->index >= driver_number("count", 0)) code = GPU_LOST;
    if (code == OK) code = broken(gpu->index, quantity);
    return code == OK ? supported(gpu, quantity) : code;
}
