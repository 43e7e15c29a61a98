#define _GNU_SOURCE
/* A small fake of the driver library, reached through the C ABI: it answers from a text file that a test writes.
 *
 * FAKE_NVML_STATE names the file; a file that takes its place counts from the next call on. Lines are `key value` for the driver (count,
 * driver, init_error, hang, chatter) and `<gpu>.key value` for one GPU. Faults of a GPU: lost, hang, crash, unsupported.
 * Build with -DOLD_DRIVER to leave out what drivers before 510 did not have. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, SMALL = 7, GPU_LOST = 15, RESET_REQUIRED = 16 };
enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };
enum { MAX_GPUS = 64, LINE = 512 };

typedef unsigned long long u64;
typedef struct { int index; } gpu_t;
typedef struct { unsigned gpu, memory; } rates_t;
typedef struct { u64 total, free, used; } memory_t;
typedef struct { unsigned version; u64 total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned version, sensor; int celsius; } temperature_t;
static gpu_t gpus[MAX_GPUS];

/* The file as it was read last; read again when another one has taken its place. Callers hold the lock. */
static const char *state(void) {
    static char content[64 * 1024];
    static struct stat known;
    const char *path = getenv("FAKE_NVML_STATE");
    struct stat now;
    if (!path || stat(path, &now) != 0) return "";
    if (now.st_ino == known.st_ino && now.st_mtim.tv_nsec == known.st_mtim.tv_nsec && now.st_mtime == known.st_mtime)
        return content;
    FILE *file = fopen(path, "r");
    if (!file) return "";
    content[fread(content, 1, sizeof content - 1, file)] = 0;
    fclose(file);
    known = now;
    return content;
}

/* Copy the value of a key into `value`; 0 when the file has no such line. */
static int find(const char *key, char *value) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    size_t length = strlen(key);
    int found = 0;
    pthread_mutex_lock(&lock);
    for (const char *line = state(); *line && !found; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            size_t size = strcspn(line + length + 1, "\n");
            size = size < LINE ? size : LINE - 1;
            memcpy(value, line + length + 1, size);
            value[size] = 0;
            found = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static u64 driver_number(const char *key, u64 otherwise) {
    char value[LINE];
    return find(key, value) ? strtoull(value, NULL, 10) : otherwise;
}

static int gpu_text(gpu_t *gpu, const char *key, char *value) {
    char full[LINE];
    snprintf(full, sizeof full, "%d.%s", gpu->index, key);
    return find(full, value);
}

static u64 gpu_number(gpu_t *gpu, const char *key, u64 otherwise) {
    char value[LINE];
    return gpu_text(gpu, key, value) ? strtoull(value, NULL, 10) : otherwise;
}

/* What comes before every answer: the GPU's faults, then whether it supports the quantity at all. */
static int ready(gpu_t *gpu, const char *quantity) {
    char list[LINE] = "";
    if (gpu_number(gpu, "crash", 0)) abort();
    while (gpu_number(gpu, "hang", 0)) usleep(10000);
    if (gpu_number(gpu, "lost", 0)) return GPU_LOST;
    if (gpu_number(gpu, "reset_required", 0)) return RESET_REQUIRED;
    gpu_text(gpu, "unsupported", list);
    for (char *rest, *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (strcmp(word, quantity) == 0) return UNSUPPORTED;
    return OK;
}

static int answer_number(gpu_t *gpu, const char *key, unsigned *out) {
    int code = ready(gpu, key);
    if (code == OK) *out = (unsigned)gpu_number(gpu, key, 0);
    return code;
}

static int answer_text(gpu_t *gpu, const char *key, char *out, unsigned size) {
    char value[LINE] = "";
    int code = ready(gpu, key);
    if (code != OK) return code;
    gpu_text(gpu, key, value);
    snprintf(out, size, "%s", value);
    return OK;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    for (int i = 0; i < MAX_GPUS; i++) gpus[i].index = i;
    if (driver_number("chatter", 0)) { puts("a library that writes to standard output"); fflush(stdout); }
    while (driver_number("hang", 0)) usleep(10000);
    return (int)driver_number("init_error", OK);
}

int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "fake error"; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    char value[LINE] = "0.0";
    find("driver", value);
    snprintf(out, size, "%s", value);
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)driver_number("count", 0); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t **gpu) {
    if (index >= driver_number("count", 0)) return INVALID;
    *gpu = &gpus[index];
    return ready(*gpu, "handle");
}

int nvmlDeviceGetName(gpu_t *gpu, char *out, unsigned size) { return answer_text(gpu, "name", out, size); }
int nvmlDeviceGetUUID(gpu_t *gpu, char *out, unsigned size) { return answer_text(gpu, "uuid", out, size); }
int nvmlDeviceGetMinorNumber(gpu_t *gpu, unsigned *out) { return answer_number(gpu, "minor", out); }

typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_t;

int nvmlDeviceGetPciInfo_v3(gpu_t *gpu, pci_t *pci) {
    memset(pci, 0, sizeof *pci);
    return answer_text(gpu, "pci", pci->bus_id, sizeof pci->bus_id);
}

int nvmlDeviceGetUtilizationRates(gpu_t *gpu, rates_t *rates) {
    int code = answer_number(gpu, "util", &rates->gpu);
    return code ? code : answer_number(gpu, "mem_util", &rates->memory);
}

int nvmlDeviceGetMemoryInfo(gpu_t *gpu, memory_t *memory) {
    int code = ready(gpu, "memory");
    memory->total = gpu_number(gpu, "mem_total", 0);
    /* Version 1 counts what the driver reserved as used. */
    memory->used = gpu_number(gpu, "mem_used", 0) + gpu_number(gpu, "mem_reserved", 0);
    memory->free = memory->total - memory->used;
    return code;
}

int nvmlDeviceGetPowerUsage(gpu_t *gpu, unsigned *mw) { return answer_number(gpu, "power_mw", mw); }
int nvmlDeviceGetEnforcedPowerLimit(gpu_t *gpu, unsigned *mw) { return answer_number(gpu, "power_limit_mw", mw); }

int nvmlDeviceGetTotalEnergyConsumption(gpu_t *gpu, u64 *mj) {
    int code = ready(gpu, "energy_mj");
    *mj = gpu_number(gpu, "energy_mj", 0);
    return code;
}

int nvmlDeviceGetTemperature(gpu_t *gpu, int sensor, unsigned *celsius) {
    (void)sensor;
    return answer_number(gpu, "temp", celsius);
}

int nvmlDeviceGetClockInfo(gpu_t *gpu, int clock, unsigned *mhz) {
    return answer_number(gpu, clock == 1 ? "sm_mhz" : "mem_mhz", mhz);
}

typedef struct { unsigned pid; u64 used; unsigned instance, compute_instance; } process_t;

/* `key` holds `pid:bytes,pid:bytes`; bytes of -1 mean not available. */
static int list_processes(gpu_t *gpu, const char *key, unsigned *count, process_t *out) {
    char list[LINE] = "";
    unsigned room = *count, found = 0;
    int code = ready(gpu, key);
    if (code != OK) return code;
    gpu_text(gpu, key, list);
    for (char *rest, *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest), found++)
        if (out && found < room)
            out[found] = (process_t){(unsigned)atoi(word), strtoull(strchr(word, ':') + 1, NULL, 10), ~0u, ~0u};
    *count = found;
    return found > room ? SMALL : OK;
}

int nvmlDeviceGetComputeRunningProcesses_v2(gpu_t *gpu, unsigned *count, process_t *out) {
    return list_processes(gpu, "compute", count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(gpu_t *gpu, unsigned *count, process_t *out) {
    return list_processes(gpu, "graphics", count, out);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t *gpu, unsigned *count, process_t *out) {
    return list_processes(gpu, "compute", count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu_t *gpu, unsigned *count, process_t *out) {
    return list_processes(gpu, "graphics", count, out);
}

int nvmlDeviceGetNumaNodeId(gpu_t *gpu, unsigned *node) { return answer_number(gpu, "numa", node); }

int nvmlDeviceGetMemoryInfo_v2(gpu_t *gpu, memory_v2_t *memory) {
    int code = ready(gpu, "memory");
    if (memory->version != 0x02000028) return INVALID;
    memory->total = gpu_number(gpu, "mem_total", 0);
    memory->used = gpu_number(gpu, "mem_used", 0);
    memory->reserved = gpu_number(gpu, "mem_reserved", 0);
    memory->free = memory->total - memory->used - memory->reserved;
    return code;
}

int nvmlDeviceGetTemperatureV(gpu_t *gpu, temperature_t *temperature) {
    if (temperature->version != 0x100000C) return INVALID;
    return answer_number(gpu, "temp", (unsigned *)&temperature->celsius);
}

typedef struct {
    unsigned id, scope;
    long long timestamp, latency;
    int type, code;
    union { unsigned number; u64 large; } value;
} field_t;

int nvmlDeviceGetFieldValues(gpu_t *gpu, int count, field_t *fields) {
    for (int i = 0; i < count; i++) {
        field_t *field = &fields[i];
        if (field->id == 83) {
            field->type = UNSIGNED_LONG_LONG;
            field->code = ready(gpu, "energy_mj");
            field->value.large = gpu_number(gpu, "energy_mj", 0);
        } else if (field->id == 185) {
            field->type = UNSIGNED_INT;
            field->code = ready(gpu, "power_mw") ? ready(gpu, "power_mw") : ready(gpu, "power_field");
            field->value.number = (unsigned)gpu_number(gpu, "power_mw", 0);
        } else {
            field->code = UNSUPPORTED;
        }
        /* A GPU that is lost fails the call itself, as the driver does. */
        if (field->code == GPU_LOST || field->code == RESET_REQUIRED) return field->code;
    }
    return OK;
}
#endif
