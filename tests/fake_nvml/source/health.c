/* ECC, row remapping, retired pages: each by its own call; the same values are fields as well. */
#include "fake.h"
#include <stdio.h>
#include <stdlib.h>

static const char *ecc_key(unsigned uncorrected, unsigned aggregate) {
    static const char *const keys[2][2] = {{"ecc_corrected_volatile", "ecc_corrected_aggregate"},
                                           {"ecc_uncorrected_volatile", "ecc_uncorrected_aggregate"}};
    return keys[uncorrected][aggregate];
}

int nvmlDeviceGetTotalEccErrors(gpu_t *gpu, unsigned kind, unsigned counter, u64 *count) {
    return kind > 1 || counter > 1 ? INVALID : answer_large(gpu, ecc_key(kind, counter), count);
}

/* All errors are said to be the device memory's; the other places have none. */
int nvmlDeviceGetMemoryErrorCounter(gpu_t *gpu, unsigned kind, unsigned counter, unsigned place, u64 *count) {
    if (kind > 1 || counter > 1 || place > 8) return INVALID;
    int code = answer_large(gpu, ecc_key(kind, counter), count);
    if (code == OK && place != 2) *count = 0;
    return code;
}

int nvmlDeviceGetEccMode(gpu_t *gpu, unsigned *current, unsigned *pending) {
    int code = answer_number(gpu, "ecc_mode", current);
    if (code == OK) *pending = *current;
    return code;
}

int nvmlDeviceGetRemappedRows(gpu_t *gpu, unsigned *correctable, unsigned *uncorrectable, unsigned *pending, unsigned *failed) {
    int code = answer_number(gpu, "remap_correctable", correctable);
    if (code == OK) code = answer_number(gpu, "remap_uncorrectable", uncorrectable);
    if (code == OK) code = answer_number(gpu, "remap_pending", pending);
    return code == OK ? answer_number(gpu, "remap_failed", failed) : code;
}

typedef struct { unsigned max, high, partial, low, none; } histogram_t;

/* `remap_banks` holds how many banks have all, most, some, few and no spare rows: "640,0,0,0,0". */
int nvmlDeviceGetRowRemapperHistogram(gpu_t *gpu, histogram_t *banks) {
    char text[LINE];
    int code = gpu_ready(gpu, "remap_banks");
    if (code != OK) return code;
    *banks = (histogram_t){0};
    text_of(gpu, "remap_banks", text);
    sscanf(text, "%u,%u,%u,%u,%u", &banks->max, &banks->high, &banks->partial, &banks->low, &banks->none);
    return OK;
}

/* Page `n` is said to begin at n times 64 KiB. */
static int pages(gpu_t *gpu, unsigned cause, unsigned *count, u64 *addresses, u64 *times) {
    unsigned room = *count;
    int code = cause > 1 ? INVALID : answer_number(gpu, cause ? "retired_dbe" : "retired_sbe", count);
    if (code != OK) return code;
    if (!addresses || *count > room) return *count && (!addresses || *count > room) ? SMALL : OK;
    for (unsigned i = 0; i < *count; i++) {
        addresses[i] = (u64)(i + 1) << 16;
        if (times) times[i] = epoch_us();
    }
    return OK;
}

int nvmlDeviceGetRetiredPages(gpu_t *gpu, unsigned cause, unsigned *count, u64 *addresses) {
    return pages(gpu, cause, count, addresses, NULL);
}

int nvmlDeviceGetRetiredPages_v2(gpu_t *gpu, unsigned cause, unsigned *count, u64 *addresses, u64 *times) {
    return pages(gpu, cause, count, addresses, times);
}

int nvmlDeviceGetRetiredPagesPendingStatus(gpu_t *gpu, unsigned *pending) { return answer_number(gpu, "retired_pending", pending); }

#ifndef OLD_DRIVER
typedef struct {
    unsigned version;
    u64 aggregate_parity, aggregate_secded, aggregate_corrected, volatile_parity, volatile_secded, volatile_corrected;
    u64 bucket_l2, bucket_sm, bucket_pcie, bucket_mcu, bucket_other;
    unsigned threshold_exceeded;
} sram_t;

/* The file has the aggregates; the volatile counts are the same, and the L2 cache had them all. */
int nvmlDeviceGetSramEccErrorStatus(gpu_t *gpu, sram_t *sram) {
    if (sram->version != 0x1000068) return VERSION_MISMATCH;
    int code = gpu_ready(gpu, "sram_parity");
    if (code != OK) return code;
    *sram = (sram_t){.version = sram->version};
    sram->aggregate_parity = sram->volatile_parity = number_of(gpu, "sram_parity");
    sram->aggregate_secded = sram->volatile_secded = number_of(gpu, "sram_secded");
    sram->aggregate_corrected = sram->volatile_corrected = number_of(gpu, "sram_corrected");
    sram->bucket_l2 = sram->aggregate_parity + sram->aggregate_secded;
    sram->threshold_exceeded = (unsigned)number_of(gpu, "sram_threshold");
    return OK;
}

typedef struct { unsigned version, channel_pending, tpc_pending; } repair_t;

int nvmlDeviceGetRepairStatus(gpu_t *gpu, repair_t *repair) {
    if (repair->version != 0x100000C) return VERSION_MISMATCH;
    int code = answer_number(gpu, "repair_channel", &repair->channel_pending);
    return code ? code : answer_number(gpu, "repair_tpc", &repair->tpc_pending);
}
#endif
