#define _GNU_SOURCE
/* Processes on a GPU: `compute`, `graphics` and `mps` hold "pid:bytes" or "pid:bytes:gpu instance:compute instance", comma between; bytes
 * of -1 mean not available. With `bound 1` for the driver a process that ended leaves the lists, as it does in life. */
#include "fake.h"
#include <signal.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned pid; u64 used; unsigned instance, compute_instance; } process_t;

static int gone(unsigned pid) { return driver_number("bound", 0) && kill((pid_t)pid, 0) != 0 && errno == ESRCH; }

/* Whether a process of this GPU is to be told of this handle: a MIG instance tells its own only. */
static int on(const gpu_t *gpu, const process_t *process) {
    value_t instance, compute_instance;
    if (gpu->mig == NOBODY) return 1;
    return state_find(owner_of(gpu), "gi", &instance, NULL) && instance.number == process->instance
        && state_find(owner_of(gpu), "ci", &compute_instance, NULL) && compute_instance.number == process->compute_instance;
}

static process_t parsed(const char *word) {
    process_t process = {0, 0, ALL, ALL};
    char used[32] = "0";
    sscanf(word, "%u:%31[^:]:%u:%u", &process.pid, used, &process.instance, &process.compute_instance);
    process.used = strtoull(used, NULL, 10);
    return process;
}

static int list_processes(gpu_t *gpu, const char *key, unsigned *count, process_t *out) {
    char list[LINE], *rest;
    unsigned room = *count, found = 0;
    int code = gpu_ready(gpu, gpu->mig == NOBODY ? key : "uuid");
    if (code != OK) return code;
    text_of(&gpus[gpu->index], key, list);
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        process_t process = parsed(word);
        if (gone(process.pid) || !on(gpu, &process)) continue;
        if (out && found < room) out[found] = process;
        found++;
    }
    *count = found;
    return found > room ? SMALL : OK;
}

#define LIST(function, key) \
    int function(gpu_t *gpu, unsigned *count, process_t *out) { return list_processes(gpu, key, count, out); }

LIST(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps")
#ifndef OLD_DRIVER
LIST(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")
#endif

typedef struct { unsigned pid; u64 at_us; unsigned sm, memory, encoder, decoder; } use_t;

/* Where the file gives no use, the load model's is shared by all who compute. */
static void uses_of(const gpu_t *gpu, char *list) {
    char processes[LINE], *rest;
    unsigned count = 1;
    double util, memory;
    size_t end = 0;
    text_of(gpu, "proc_util", list);
    if (*list || !modelled(gpu, "util", &util) || !modelled(gpu, "mem_util", &memory)) return;
    text_of(gpu, "compute", processes);
    for (const char *c = processes; *c; c++) count += *c == ',';
    for (char *word = strtok_r(processes, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        end += (size_t)snprintf(list + end, LINE - end, "%u:%d:%d,", parsed(word).pid, (int)(util / count), (int)(memory / count));
}

/* `proc_util` holds "pid:sm:memory:encoder:decoder" in per cent; the driver measures six times a second, so a caller who has seen the
 * newest measurement is told that there is none. */
int nvmlDeviceGetProcessUtilization(gpu_t *gpu, use_t *out, unsigned *count, u64 last_seen_us) {
    char list[LINE], *rest;
    unsigned room = *count, found = 0;
    int code = gpu_ready(gpu, "proc_util");
    if (code != OK) return code;
    uses_of(gpu, list);
    u64 at_us = epoch_us() / 166667 * 166667;
    for (char *word = strtok_r(list, ",", &rest); word && at_us > last_seen_us; word = strtok_r(NULL, ",", &rest)) {
        use_t use = {.at_us = at_us};
        sscanf(word, "%u:%u:%u:%u:%u", &use.pid, &use.sm, &use.memory, &use.encoder, &use.decoder);
        if (gone(use.pid)) continue;
        if (out && found < room) out[found] = use;
        found++;
    }
    *count = found;
    if (!found) return NOT_FOUND;
    return !out || found > room ? SMALL : OK;
}

int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "r");
    if (!file) return NOT_FOUND;
    size_t got = size ? fread(out, 1, size - 1, file) : 0;
    fclose(file);
    if (size) out[got && out[got - 1] == '\n' ? got - 1 : got] = 0;
    return OK;
}
