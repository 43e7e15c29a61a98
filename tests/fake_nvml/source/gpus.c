/* Handles, and the many calls that answer with one value of one GPU. */
#include "fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

gpu_t gpus[MAX_GPUS], migs[MAX_GPUS][MAX_MIGS];

__attribute__((constructor)) static void number_handles(void) {
    for (int i = 0; i < MAX_GPUS; i++) {
        gpus[i] = (gpu_t){i, NOBODY};
        for (int k = 0; k < MAX_MIGS; k++) migs[i][k] = (gpu_t){i, k};
    }
}

/* What the file says, else the load model, else what the profile says. */
u64 number_of(const gpu_t *gpu, const char *key) {
    value_t value;
    double real;
    if (!state_find(owner_of(gpu), key, &value, NULL)) return 0;
    if (value.given) return value.number;
    return modelled(gpu, key, &real) || modelled(gpu, value.key, &real) ? (u64)real : value.number;
}

void text_of(const gpu_t *gpu, const char *key, char *text) {
    if (!state_find(owner_of(gpu), key, NULL, text)) *text = 0;
}

int answer_number(gpu_t *gpu, const char *key, unsigned *out) {
    int code = gpu_ready(gpu, key);
    if (code == OK) *out = (unsigned)number_of(gpu, key);
    return code;
}

int answer_large(gpu_t *gpu, const char *key, u64 *out) {
    int code = gpu_ready(gpu, key);
    if (code == OK) *out = number_of(gpu, key);
    return code;
}

static int fit(const char *text, char *out, unsigned size) {
    return (unsigned)snprintf(out, size, "%s", text) < size ? OK : SMALL;
}

int answer_text(gpu_t *gpu, const char *key, char *out, unsigned size) {
    char text[LINE];
    int code = gpu_ready(gpu, key);
    if (code != OK) return code;
    text_of(gpu, key, text);
    return fit(text, out, size);
}

/* --- the driver as a whole --- */

int nvmlInitWithFlags(unsigned flags) { return (void)flags, begin_session(); }
int nvmlInit_v2(void) { return begin_session(); }
int nvmlInit(void) { return begin_session(); }
int nvmlShutdown(void) { return end_session(); }

const char *nvmlErrorString(int code) {
    switch (code) {
        case OK: return "The operation was successful";
        case UNINITIALIZED: return "NVML was not first initialized with nvmlInit()";
        case INVALID: return "A supplied argument is invalid";
        case UNSUPPORTED: return "The requested operation is not available on target device";
        case GPU_LOST: return "The GPU has fallen off the bus or has otherwise become inaccessible";
        default: return "fake error";
    }
}

static int driver_text(const char *key, const char *otherwise, char *out, unsigned size) {
    char text[LINE];
    int code = driver_ready();
    if (code != OK) return code;
    return fit(state_find(DRIVER, key, NULL, text) ? text : otherwise, out, size);
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) { return driver_text("driver", "0.0", out, size); }
int nvmlSystemGetNVMLVersion(char *out, unsigned size) { return driver_text("nvml", "13.580.65.06", out, size); }

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    int code = driver_ready();
    if (code == OK) *version = (int)driver_number("cuda", 13000);
    return code;
}
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = driver_ready();
    if (code == OK) *count = (unsigned)driver_number("count", 0);
    return code;
}
int nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

/* --- handles --- */

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t **gpu) {
    int code = driver_ready();
    if (code != OK) return code;
    if (index >= driver_number("count", 0) || index >= MAX_GPUS) return INVALID;
    *gpu = &gpus[index];
    return gpu_ready(*gpu, "handle");
}
int nvmlDeviceGetHandleByIndex(unsigned index, gpu_t **gpu) { return nvmlDeviceGetHandleByIndex_v2(index, gpu); }

static int handle_by(const char *key, const char *wanted, gpu_t **gpu) {
    char text[LINE];
    int code = driver_ready();
    for (u64 i = 0; code == OK && i < driver_number("count", 0) && i < MAX_GPUS; i++) {
        for (int k = NOBODY; k < MAX_MIGS; k++) {
            gpu_t *one = k == NOBODY ? &gpus[i] : &migs[i][k];
            text_of(one, key, text);
            if (*text && strcasecmp(text, wanted) == 0) return *gpu = one, OK;
        }
    }
    return code == OK ? NOT_FOUND : code;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t **gpu) { return handle_by("uuid", uuid, gpu); }
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, gpu_t **gpu) { return handle_by("pci", bus, gpu); }
int nvmlDeviceGetHandleByPciBusId(const char *bus, gpu_t **gpu) { return handle_by("pci", bus, gpu); }
int nvmlDeviceGetHandleBySerial(const char *serial, gpu_t **gpu) { return handle_by("serial", serial, gpu); }

int nvmlDeviceGetIndex(gpu_t *gpu, unsigned *index) {
    int code = gpu_ready(gpu, "name");
    if (code == OK) *index = (unsigned)(gpu->mig == NOBODY ? gpu->index : gpu->mig);
    return code;
}

typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_t;

int nvmlDeviceGetPciInfo_v3(gpu_t *gpu, pci_t *pci) {
    memset(pci, 0, sizeof *pci);
    int code = answer_text(gpu, "pci", pci->bus_id, sizeof pci->bus_id);
    if (code != OK) return code;
    sscanf(pci->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->legacy_id, sizeof pci->legacy_id, "%04X:%02X:%02X.0", pci->domain & 0xFFFF, pci->bus & 0xFF, pci->device & 0xFF);
    return OK;
}
int nvmlDeviceGetPciInfo_v2(gpu_t *gpu, pci_t *pci) { return nvmlDeviceGetPciInfo_v3(gpu, pci); }

/* --- one text, one number --- */

#define TEXT(function, key) int function(gpu_t *gpu, char *out, unsigned size) { return answer_text(gpu, key, out, size); }
#define NUMBER(function, key) int function(gpu_t *gpu, unsigned *out) { return answer_number(gpu, key, out); }
#define LARGE(function, key) int function(gpu_t *gpu, u64 *out) { return answer_large(gpu, key, out); }

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")
TEXT(nvmlDeviceGetBoardPartNumber, "board_part")
NUMBER(nvmlDeviceGetMinorNumber, "minor")
NUMBER(nvmlDeviceGetBrand, "brand")
NUMBER(nvmlDeviceGetBoardId, "board_id")
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetDisplayActive, "display_active")
NUMBER(nvmlDeviceGetDisplayMode, "display_mode")
NUMBER(nvmlDeviceGetPerformanceState, "pstate")
NUMBER(nvmlDeviceGetPowerState, "pstate")
NUMBER(nvmlDeviceGetNumGpuCores, "cores")
NUMBER(nvmlDeviceGetMemoryBusWidth, "bus_width")
NUMBER(nvmlDeviceGetArchitecture, "architecture")
NUMBER(nvmlDeviceGetFanSpeed, "fan")
NUMBER(nvmlDeviceGetNumFans, "fans")
NUMBER(nvmlDeviceGetPowerUsage, "power_mw")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_default_mw")
LARGE(nvmlDeviceGetTotalEnergyConsumption, "energy_mj")
LARGE(nvmlDeviceGetCurrentClocksThrottleReasons, "clock_reasons")
LARGE(nvmlDeviceGetSupportedClocksThrottleReasons, "clock_reasons_known")
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, "pcie_replay")
NUMBER(nvmlDeviceGetAccountingMode, "accounting")
#ifndef OLD_DRIVER
/* On most boards the GPU's memory is no node of the host; what the host has is told as affinity. */
int nvmlDeviceGetMemoryAffinity(gpu_t *gpu, unsigned words, u64 *nodes, unsigned scope) {
    unsigned node = 0;
    int code = scope > 1 || !words ? INVALID : answer_number(gpu, "numa", &node);
    if (code != OK) return code;
    memset(nodes, 0, words * sizeof *nodes);
    if (node / 64 < words) nodes[node / 64] = 1ULL << node % 64;
    return OK;
}
LARGE(nvmlDeviceGetCurrentClocksEventReasons, "clock_reasons")
LARGE(nvmlDeviceGetSupportedClocksEventReasons, "clock_reasons_known")
#endif

int nvmlDeviceGetFanSpeed_v2(gpu_t *gpu, unsigned fan, unsigned *out) {
    return fan ? INVALID : answer_number(gpu, "fan", out);
}

int nvmlDeviceGetCudaComputeCapability(gpu_t *gpu, int *major, int *minor) {
    int code = answer_number(gpu, "cc_major", (unsigned *)major);
    return code ? code : answer_number(gpu, "cc_minor", (unsigned *)minor);
}

/* Limits that a program has set: lines "<gpu> <milliwatts>" in a file beside the state, the last one counts. */
static FILE *limits_set(const char *mode) {
    char path[LINE];
    const char *state = getenv("FAKE_NVML_STATE");
    snprintf(path, sizeof path, "%s.power_limits", state ? state : "");
    return fopen(path, mode);
}

static int power_limit(gpu_t *gpu, unsigned *out) {
    int code = answer_number(gpu, "power_limit_mw", out), index;
    unsigned milliwatts;
    FILE *file = code == OK ? limits_set("re") : NULL;
    while (file && fscanf(file, "%d %u", &index, &milliwatts) == 2)
        if (index == gpu->index) *out = milliwatts;
    if (file) fclose(file);
    return code;
}

int nvmlDeviceGetEnforcedPowerLimit(gpu_t *gpu, unsigned *out) { return power_limit(gpu, out); }
int nvmlDeviceGetPowerManagementLimit(gpu_t *gpu, unsigned *out) { return power_limit(gpu, out); }

int nvmlDeviceSetPowerManagementLimit(gpu_t *gpu, unsigned milliwatts) {
    int code = gpu_ready(gpu, "set_power_limit");
    if (code != OK) return code;
    if (milliwatts < number_of(gpu, "power_min_mw") || milliwatts > number_of(gpu, "power_max_mw")) return INVALID;
    FILE *file = limits_set("ae");
    if (!file) return NO_PERMISSION;
    fprintf(file, "%d %u\n", gpu->index, milliwatts);
    return fclose(file) ? NO_PERMISSION : OK;
}

int nvmlDeviceGetPowerManagementLimitConstraints(gpu_t *gpu, unsigned *least, unsigned *most) {
    int code = answer_number(gpu, "power_min_mw", least);
    return code ? code : answer_number(gpu, "power_max_mw", most);
}

/* --- use, clocks, temperature --- */

typedef struct { unsigned gpu, memory; } rates_t;

int nvmlDeviceGetUtilizationRates(gpu_t *gpu, rates_t *rates) {
    int code = answer_number(gpu, "util", &rates->gpu);
    return code ? code : answer_number(gpu, "mem_util", &rates->memory);
}

int nvmlDeviceGetEncoderUtilization(gpu_t *gpu, unsigned *out, unsigned *period_us) {
    *period_us = 167000;
    return answer_number(gpu, "encoder", out);
}

int nvmlDeviceGetDecoderUtilization(gpu_t *gpu, unsigned *out, unsigned *period_us) {
    *period_us = 167000;
    return answer_number(gpu, "decoder", out);
}

static int clock_of(gpu_t *gpu, unsigned clock, int most, unsigned *mhz) {
    static const char *const now[] = {"graphics_mhz", "sm_mhz", "mem_mhz", "video_mhz"};
    static const char *const max[] = {"graphics_max_mhz", "sm_max_mhz", "mem_max_mhz", "video_max_mhz"};
    return clock > 3 ? INVALID : answer_number(gpu, (most ? max : now)[clock], mhz);
}

int nvmlDeviceGetClockInfo(gpu_t *gpu, unsigned clock, unsigned *mhz) { return clock_of(gpu, clock, 0, mhz); }
int nvmlDeviceGetMaxClockInfo(gpu_t *gpu, unsigned clock, unsigned *mhz) { return clock_of(gpu, clock, 1, mhz); }

int nvmlDeviceGetTemperature(gpu_t *gpu, unsigned sensor, unsigned *celsius) {
    return sensor ? INVALID : answer_number(gpu, "temp", celsius);
}

int nvmlDeviceGetTemperatureThreshold(gpu_t *gpu, unsigned threshold, unsigned *celsius) {
    return threshold > 1 ? UNSUPPORTED : answer_number(gpu, threshold ? "temp_slowdown" : "temp_shutdown", celsius);
}

#ifndef OLD_DRIVER
typedef struct { unsigned version, sensor; int celsius; } temperature_t;

int nvmlDeviceGetTemperatureV(gpu_t *gpu, temperature_t *temperature) {
    if (temperature->version != 0x100000C) return VERSION_MISMATCH;
    return temperature->sensor ? INVALID : answer_number(gpu, "temp", (unsigned *)&temperature->celsius);
}

typedef struct { unsigned version; int celsius; } margin_t;

int nvmlDeviceGetMarginTemperature(gpu_t *gpu, margin_t *margin) {
    if (margin->version != 0x1000008) return VERSION_MISMATCH;
    return answer_number(gpu, "temp_margin", (unsigned *)&margin->celsius);
}
#endif

/* --- memory --- */

typedef struct { u64 total, free, used; } memory_t;

int nvmlDeviceGetMemoryInfo(gpu_t *gpu, memory_t *memory) {
    int code = gpu_ready(gpu, "memory");
    if (code != OK) return code;
    memory->total = number_of(gpu, "mem_total");
    /* Version 1 counts what the driver reserved as used. */
    memory->used = number_of(gpu, "mem_used") + number_of(gpu, "mem_reserved");
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetBAR1MemoryInfo(gpu_t *gpu, memory_t *memory) {
    int code = gpu_ready(gpu, "bar1_total");
    if (code != OK) return code;
    memory->total = number_of(gpu, "bar1_total");
    memory->used = number_of(gpu, "bar1_used");
    memory->free = memory->total - memory->used;
    return OK;
}

#ifndef OLD_DRIVER
typedef struct { unsigned version; u64 total, reserved, free, used; } memory_v2_t;

int nvmlDeviceGetMemoryInfo_v2(gpu_t *gpu, memory_v2_t *memory) {
    if (memory->version != 0x02000028) return VERSION_MISMATCH;
    int code = gpu_ready(gpu, "memory");
    if (code != OK) return code;
    memory->total = number_of(gpu, "mem_total");
    memory->used = number_of(gpu, "mem_used");
    memory->reserved = number_of(gpu, "mem_reserved");
    memory->free = memory->total - memory->used - memory->reserved;
    return OK;
}
#endif
