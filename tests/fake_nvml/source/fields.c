/* Field values, by table. `field.<id>` in the state file, or `field.<id>.<scope>`, comes before all else: "7", "d:3.5" with a type, or
 * "!3" for an answer that is an error. */
#include "fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef OLD_DRIVER
typedef struct {
    unsigned id, scope;
    long long timestamp_us, latency_us;
    int type, code;
    union { double real; unsigned number; unsigned long word; u64 large; long long offset; int small; unsigned short tiny; } value;
} field_t;

/* What the scope of a field names: nothing; a link, or all of them; a link alone (NVLink 5). */
enum { PLAIN, LINKS, ONE_LINK };

static const struct { unsigned id; int type; const char *key; int scope; } rows[] = {
    {1, UNSIGNED_INT, "ecc_mode", PLAIN}, {2, UNSIGNED_INT, "ecc_mode", PLAIN},
    {3, UNSIGNED_LONG_LONG, "ecc_corrected_volatile", PLAIN}, {4, UNSIGNED_LONG_LONG, "ecc_uncorrected_volatile", PLAIN},
    {5, UNSIGNED_LONG_LONG, "ecc_corrected_aggregate", PLAIN}, {6, UNSIGNED_LONG_LONG, "ecc_uncorrected_aggregate", PLAIN},
    {29, UNSIGNED_INT, "retired_sbe", PLAIN}, {30, UNSIGNED_INT, "retired_dbe", PLAIN}, {31, UNSIGNED_INT, "retired_pending", PLAIN},
    {38, UNSIGNED_LONG_LONG, "nvlink_crc_flit", PLAIN}, {45, UNSIGNED_LONG_LONG, "nvlink_crc_data", PLAIN},
    {52, UNSIGNED_LONG_LONG, "nvlink_replay", PLAIN}, {59, UNSIGNED_LONG_LONG, "nvlink_recovery", PLAIN},
    {74, UNSIGNED_LONG_LONG, "throttled_power_ns", PLAIN}, {75, UNSIGNED_LONG_LONG, "throttled_thermal_ns", PLAIN},
    {76, UNSIGNED_LONG_LONG, "throttled_sync_boost_ns", PLAIN}, {77, UNSIGNED_LONG_LONG, "throttled_board_limit_ns", PLAIN},
    {78, UNSIGNED_LONG_LONG, "throttled_low_util_ns", PLAIN}, {79, UNSIGNED_LONG_LONG, "throttled_reliability_ns", PLAIN},
    {82, UNSIGNED_INT, "hbm_temp", PLAIN}, {83, UNSIGNED_LONG_LONG, "energy_mj", PLAIN},
    {90, UNSIGNED_INT, "nvlink_mbps", PLAIN}, {91, UNSIGNED_INT, "nvlink_links", PLAIN}, {94, UNSIGNED_INT, "pcie_replay", PLAIN},
    {138, UNSIGNED_LONG_LONG, "nvlink_tx_kib", LINKS}, {139, UNSIGNED_LONG_LONG, "nvlink_rx_kib", LINKS},
    {142, UNSIGNED_INT, "remap_correctable", PLAIN}, {143, UNSIGNED_INT, "remap_uncorrectable", PLAIN},
    {144, UNSIGNED_INT, "remap_pending", PLAIN}, {145, UNSIGNED_INT, "remap_failed", PLAIN},
    {160, UNSIGNED_LONG_LONG, "nvlink_ecc", PLAIN},
    {173, UNSIGNED_INT, "pcie_correctable_errors", PLAIN}, {179, UNSIGNED_INT, "pcie_nonfatal_errors", PLAIN},
    {180, UNSIGNED_INT, "pcie_fatal_errors", PLAIN},
    {185, UNSIGNED_INT, "power_field", PLAIN}, {186, UNSIGNED_INT, "power_instant_mw", PLAIN},
    {187, UNSIGNED_INT, "power_min_mw", PLAIN}, {188, UNSIGNED_INT, "power_max_mw", PLAIN},
    {189, UNSIGNED_INT, "power_default_mw", PLAIN}, {190, UNSIGNED_INT, "power_limit_mw", PLAIN},
    {191, UNSIGNED_LONG_LONG, "energy_mj", PLAIN}, {192, UNSIGNED_INT, "power_limit_mw", PLAIN},
    {197, UNSIGNED_INT, "pcie_tx_bytes", PLAIN}, {198, UNSIGNED_INT, "pcie_rx_bytes", PLAIN}, /* 32 bits: they wrap */
    {213, UNSIGNED_LONG_LONG, "nvlink_recovered", ONE_LINK}, {214, UNSIGNED_LONG_LONG, "nvlink_recovery_failed", ONE_LINK},
    {215, UNSIGNED_LONG_LONG, "nvlink_recoveries", ONE_LINK},
    {230, UNSIGNED_INT, "recovery_action", PLAIN},
    {269, UNSIGNED_LONG_LONG, "throttled_sw_thermal_ns", PLAIN}, {270, UNSIGNED_LONG_LONG, "throttled_hw_thermal_ns", PLAIN},
    {271, UNSIGNED_LONG_LONG, "throttled_power_brake_ns", PLAIN},
};

static void set(field_t *field, int type, u64 number, double real) {
    field->type = type;
    field->value.large = 0;
    switch (type) {
        case DOUBLE: field->value.real = real; break;
        case UNSIGNED_INT: case SIGNED_INT: field->value.number = (unsigned)number; break;
        case UNSIGNED_SHORT: field->value.tiny = (unsigned short)number; break;
        default: field->value.large = number;
    }
}

static int type_named(const char *name, size_t length, int otherwise) {
    static const char *const names[] = {"d", "u", "ul", "ull", "sll", "s", "us"};
    for (int type = 0; type <= UNSIGNED_SHORT; type++)
        if (strlen(names[type]) == length && strncmp(names[type], name, length) == 0) return type;
    return otherwise;
}

/* A value that the file gives for the field itself; 0 when it gives none. */
static int given(const gpu_t *gpu, field_t *field, int type) {
    char key[64], text[LINE];
    snprintf(key, sizeof key, "field.%u.%u", field->id, field->scope);
    if (!state_find(owner_of(gpu), key, NULL, text)) {
        snprintf(key, sizeof key, "field.%u", field->id);
        if (!state_find(owner_of(gpu), key, NULL, text)) return 0;
    }
    char *colon = strchr(text, ':'), *number = colon ? colon + 1 : text;
    if (*text == '!') return field->code = atoi(text + 1), 1;
    set(field, colon ? type_named(text, (size_t)(colon - text), type) : type, strtoull(number, NULL, 10), strtod(number, NULL));
    return 1;
}

/* A total over all links, or the share of one link; the first links have what does not divide. */
static u64 share(const gpu_t *gpu, const char *key, unsigned link) {
    u64 total = number_of(gpu, key), links = number_of(gpu, "nvlink_links");
    return link == ALL || !links ? total : total / links + (link < total % links);
}

static void answer(const gpu_t *gpu, field_t *field) {
    size_t i = 0, count = sizeof rows / sizeof *rows;
    while (i < count && rows[i].id != field->id) i++;
    field->code = OK;
    field->timestamp_us = (long long)epoch_us();
    if (given(gpu, field, i < count ? rows[i].type : UNSIGNED_LONG_LONG)) return;
    if (i == count) { field->code = UNSUPPORTED; return; }
    field->code = supported(gpu, rows[i].key);
    if (rows[i].scope != PLAIN && field->code == OK && field->scope >= number_of(gpu, "nvlink_links"))
        if (rows[i].scope == ONE_LINK || field->scope != ALL) field->code = INVALID;
    u64 value = rows[i].scope == PLAIN ? number_of(gpu, rows[i].key) : share(gpu, rows[i].key, field->scope);
    if (field->code == OK) set(field, rows[i].type, value, (double)value);
}

/* A GPU that is lost fails the call itself; what it does not support fails in its own value. */
int nvmlDeviceGetFieldValues(gpu_t *gpu, int count, field_t *fields) {
    int code = gpu_ready(gpu, "fields");
    if (code != OK) return code;
    if (count < 1 || !fields) return INVALID;
    double begin_s = monotonic_s();
    for (int i = 0; i < count; i++) {
        answer(gpu, &fields[i]);
        fields[i].latency_us = (long long)(1e6 * (monotonic_s() - begin_s));
    }
    return OK;
}
#endif
