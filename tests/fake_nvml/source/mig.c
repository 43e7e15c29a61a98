/* MIG: with `mig_mode 1` a GPU has the instances n for which the file gives `mig<n>.gi`; theirs are also ci, uuid, name, mem_total,
 * mem_used and gpm.<id>. */
#include "fake.h"
#include <string.h>

int in_mig_mode(const gpu_t *gpu) {
    value_t mode;
    return state_find(gpu->index, "mig_mode", &mode, NULL) && mode.number;
}

int nvmlDeviceGetMigMode(gpu_t *gpu, unsigned *current, unsigned *pending) {
    int code = answer_number(gpu, "mig_mode", current);
    if (code == OK) *pending = *current;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(gpu_t *gpu, unsigned *count) {
    int code = gpu_ready(gpu, "handle");
    if (code == OK) *count = supported(gpu, "mig_mode") == OK ? MAX_MIGS - 1 : 0;
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(gpu_t *gpu, unsigned index, gpu_t **mig) {
    int code = gpu_ready(gpu, "mig_mode");
    if (code != OK) return code;
    if (gpu->mig != NOBODY || index >= MAX_MIGS) return INVALID;
    gpu_t *wanted = &migs[gpu->index][index];
    if (!in_mig_mode(gpu) || !state_find(owner_of(wanted), "gi", NULL, NULL)) return NOT_FOUND;
    return *mig = wanted, OK;
}

int nvmlDeviceIsMigDeviceHandle(gpu_t *gpu, unsigned *is_mig) {
    int code = gpu_ready(gpu, "handle");
    if (code == OK) *is_mig = gpu->mig != NOBODY;
    return code;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu_t *mig, gpu_t **gpu) {
    int code = gpu_ready(mig, "gi");
    if (code == OK) *gpu = &gpus[mig->index];
    return code;
}

int nvmlDeviceGetGpuInstanceId(gpu_t *mig, unsigned *id) { return answer_number(mig, "gi", id); }
int nvmlDeviceGetComputeInstanceId(gpu_t *mig, unsigned *id) { return answer_number(mig, "ci", id); }

typedef struct {
    unsigned processors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    u64 memory_mib;
} attributes_t;

/* `slices` says how large the instance is: an H100 has 16 processors a slice. */
int nvmlDeviceGetAttributes_v2(gpu_t *mig, attributes_t *attributes) {
    int code = gpu_ready(mig, "gi");
    if (code != OK) return code;
    unsigned slices = (unsigned)number_of(mig, "slices");
    *attributes = (attributes_t){.processors = 16 * slices, .copy_engines = slices, .gpu_slices = slices, .compute_slices = slices};
    attributes->memory_mib = number_of(mig, "mem_total") >> 20;
    return OK;
}
