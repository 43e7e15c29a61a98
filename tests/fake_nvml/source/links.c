#define _GNU_SOURCE
/* NVLink by its own calls, and the PCIe throughput. */
#include "fake.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether the GPU has this link at all. */
static int link_ready(gpu_t *gpu, unsigned link, const char *quantity) {
    int code = gpu_ready(gpu, quantity);
    if (code != OK) return code;
    return link < number_of(gpu, "nvlink_links") ? OK : INVALID;
}

int nvmlDeviceGetNvLinkState(gpu_t *gpu, unsigned link, unsigned *active) {
    char down[LINE], name[16];
    int code = link_ready(gpu, link, "nvlink_links");
    if (code != OK) return code;
    text_of(gpu, "nvlink_down", down);
    snprintf(name, sizeof name, "%u", link);
    *active = !listed(down, name);
    return OK;
}

int nvmlDeviceGetNvLinkVersion(gpu_t *gpu, unsigned link, unsigned *version) {
    int code = link_ready(gpu, link, "nvlink_version");
    return code ? code : answer_number(gpu, "nvlink_version", version);
}

/* nvmlPciInfo_t: where a link leads to; links take turns with the bus ids that are listed. */
typedef struct {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} remote_t;

int nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu_t *gpu, unsigned link, remote_t *remote) {
    char ends[LINE], *left = ends, *end = NULL;
    unsigned count = 1;
    int code = link_ready(gpu, link, "nvlink_ends");
    if (code != OK) return code;
    memset(remote, 0, sizeof *remote);
    text_of(gpu, "nvlink_ends", ends);
    for (const char *at = ends; *at; at++) count += *at == ',';
    for (unsigned turn = link % count + 1; turn; turn--) end = strsep(&left, ",");
    snprintf(remote->bus_id, sizeof remote->bus_id, "%s", end ? end : "");
    return OK;
}

/* nvmlNvLinkErrorCounter_t: replay, recovery, flit CRC, data CRC, data ECC; the file's totals are said to be link 0's. */
int nvmlDeviceGetNvLinkErrorCounter(gpu_t *gpu, unsigned link, unsigned counter, u64 *count) {
    static const char *const keys[] = {"nvlink_replay", "nvlink_recovery", "nvlink_crc_flit", "nvlink_crc_data", "nvlink_ecc"};
    if (counter > 4) return INVALID;
    int code = link_ready(gpu, link, keys[counter]);
    if (code == OK) *count = link ? 0 : number_of(gpu, keys[counter]);
    return code;
}

/* Samples for 20 ms per call, as nvml.h says. */
int nvmlDeviceGetPcieThroughput(gpu_t *gpu, unsigned counter, unsigned *kib_s) {
    if (counter > 1) return INVALID;
    int code = answer_number(gpu, counter ? "pcie_rx_kib_s" : "pcie_tx_kib_s", kib_s);
    if (code == OK) usleep(20000);
    return code;
}
