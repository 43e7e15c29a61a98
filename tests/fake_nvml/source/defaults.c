/* What a GPU says by itself, by profile; what a profile lacks (NULL) answers "not supported" unless the state file gives it. */
#include "fake.h"
#include <string.h>

#define EVERY(text) {text, text, text, text, text}
#define AMPERE(text) {NULL, text, text, text, text}
#define HOPPER(text) {NULL, NULL, text, text, text}
#define UP_TO_HOPPER(text) {text, text, text, text, NULL}
#define BLACKWELL(text) {NULL, NULL, NULL, NULL, text}
enum { PROFILES = 5, UNKNOWN_IS = 2 };
static const char *const profiles[PROFILES] = {"v100", "a100", "h100", "h200", "b200"};

static const struct { const char *key, *texts[PROFILES]; } defaults[] = {
    {"handle", EVERY("1")}, {"fields", EVERY("1")}, {"memory", EVERY("1")}, /* these calls themselves */
    {"name", {"Tesla V100-SXM2-32GB", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA B200"}},
    {"uuid", EVERY("")}, {"pci", EVERY("")}, {"minor", EVERY("0")}, {"serial", EVERY("1320000000000")},
    {"vbios", {"88.00.80.00.01", "92.00.45.00.03", "96.00.89.00.01", "96.00.A5.00.01", "97.00.82.00.18"}},
    {"brand", {"2", "14", "14", "14", "14"}}, {"board_part", EVERY("900-00000-0000-000")}, {"board_id", EVERY("0")},
    {"architecture", {"5", "7", "9", "9", "10"}}, {"cc_major", {"7", "8", "9", "9", "10"}}, {"cc_minor", EVERY("0")},
    {"cores", {"5120", "6912", "16896", "16896", "18944"}}, {"bus_width", {"4096", "5120", "5120", "6144", "8192"}},
    {"mem_total", {"34359738368", "85899345920", "85520809984", "150754820096", "192265846784"}},
    {"mem_used", EVERY("0")}, {"mem_reserved", {"0", "536870912", "666894336", "666894336", "666894336"}},
    {"bar1_total", {"34359738368", "137438953472", "137438953472", "274877906944", "274877906944"}}, {"bar1_used", EVERY("1048576")},
    {"persistence", EVERY("1")}, {"compute_mode", EVERY("0")}, {"display_active", EVERY("0")}, {"display_mode", EVERY("0")},
    {"pstate", EVERY("0")}, {"ecc_mode", EVERY("1")}, {"event_types", EVERY("65311")}, /* all but bits 5 to 7 */
    {"compute", EVERY("")}, {"graphics", EVERY("")}, {"mps", EVERY("")}, {"proc_util", EVERY("")}, {"accounting", EVERY("0")},

    {"util", EVERY("0")}, {"mem_util", EVERY("0")}, {"encoder", EVERY("0")}, {"decoder", EVERY("0")},
    {"temp", EVERY("35")}, {"hbm_temp", EVERY("40")}, {"temp_margin", HOPPER("52")},
    {"temp_slowdown", {"87", "89", "87", "87", "87"}}, {"temp_shutdown", {"90", "92", "92", "92", "92"}},
    {"power_mw", {"55000", "60000", "70000", "75000", "140000"}}, {"power_instant_mw", EVERY("=power_mw")},
    {"power_field", HOPPER("=power_mw")}, /* the mean of a second; GA100 and what is older do not have it */
    {"power_limit_mw", {"300000", "400000", "700000", "700000", "1000000"}}, {"power_default_mw", EVERY("=power_max_mw")}, {"set_power_limit", EVERY("1")},
    {"power_max_mw", {"300000", "400000", "700000", "700000", "1000000"}}, {"power_min_mw", {"150000", "100000", "200000", "200000", "200000"}},
    {"energy_mj", EVERY("0")},
    {"sm_mhz", {"135", "210", "345", "345", "120"}}, {"sm_max_mhz", {"1530", "1410", "1980", "1980", "1965"}},
    {"mem_mhz", EVERY("=mem_max_mhz")}, {"mem_max_mhz", {"877", "1593", "2619", "3201", "3996"}},
    {"graphics_mhz", EVERY("=sm_mhz")}, {"graphics_max_mhz", EVERY("=sm_max_mhz")},
    {"video_mhz", {"555", "585", "765", "765", "645"}}, {"video_max_mhz", {"1372", "1290", "1545", "1545", "1545"}},
    {"clock_reasons", EVERY("1")}, {"clock_reasons_known", EVERY("2047")},
    {"throttled_power_ns", EVERY("0")}, {"throttled_thermal_ns", EVERY("0")}, {"throttled_sync_boost_ns", EVERY("0")},
    {"throttled_board_limit_ns", EVERY("0")}, {"throttled_low_util_ns", EVERY("0")}, {"throttled_reliability_ns", EVERY("0")},
    {"throttled_sw_thermal_ns", EVERY("0")}, {"throttled_hw_thermal_ns", EVERY("0")}, {"throttled_power_brake_ns", EVERY("0")},

    {"ecc_corrected_volatile", EVERY("0")}, {"ecc_uncorrected_volatile", EVERY("0")},
    {"ecc_corrected_aggregate", EVERY("0")}, {"ecc_uncorrected_aggregate", EVERY("0")},
    {"sram_parity", AMPERE("0")}, {"sram_secded", AMPERE("0")}, {"sram_corrected", AMPERE("0")}, {"sram_threshold", AMPERE("0")},
    {"remap_correctable", AMPERE("0")}, {"remap_uncorrectable", AMPERE("0")}, {"remap_pending", AMPERE("0")},
    {"remap_failed", AMPERE("0")}, {"remap_banks", AMPERE("640,0,0,0,0")},
    {"retired_sbe", {"0"}}, {"retired_dbe", {"0"}}, {"retired_pending", {"0"}}, {"recovery_action", AMPERE("0")},
    {"repair_channel", AMPERE("0")}, {"repair_tpc", HOPPER("0")},

    {"pcie_gen", EVERY("=pcie_gen_max")}, {"pcie_gen_max", {"3", "4", "5", "5", "5"}},
    {"pcie_width", EVERY("=pcie_width_max")}, {"pcie_width_max", EVERY("16")},
    {"pcie_replay", EVERY("0")}, {"pcie_tx_bytes", AMPERE("0")}, {"pcie_rx_bytes", AMPERE("0")},
    {"pcie_tx_kib_s", EVERY("0")}, {"pcie_rx_kib_s", EVERY("0")},
    {"pcie_correctable_errors", AMPERE("0")}, {"pcie_nonfatal_errors", AMPERE("0")}, {"pcie_fatal_errors", AMPERE("0")},
    {"nvlink_links", {"6", "12", "18", "18", "18"}}, {"nvlink_down", EVERY("")}, {"nvlink_ends", EVERY("00000000:05:00.0")}, {"nvlink_mbps", {"25781", "25000", "26562", "26562", "50000"}},
    {"nvlink_version", {"2", "3", "4", "4", "5"}},
    {"nvlink_tx_kib", AMPERE("0")}, {"nvlink_rx_kib", AMPERE("0")},
    {"nvlink_crc_flit", UP_TO_HOPPER("0")}, {"nvlink_crc_data", UP_TO_HOPPER("0")}, {"nvlink_replay", UP_TO_HOPPER("0")},
    {"nvlink_recovery", UP_TO_HOPPER("0")}, {"nvlink_ecc", {NULL, "0", "0", "0", NULL}},
    {"nvlink_recovered", BLACKWELL("0")}, {"nvlink_recovery_failed", BLACKWELL("0")}, {"nvlink_recoveries", BLACKWELL("0")},

    {"gpm", HOPPER("1")}, {"mig_mode", {NULL, "0", "0", "0", "0"}},
};

/* What every MIG instance says besides. */
static const char *const of_migs[][2] = {{"handle", "1"}, {"memory", "1"}, {"ci", "0"}, {"slices", "1"}, {"mem_used", "0"}, {"mem_reserved", "0"}};

int default_count(void) { return sizeof defaults / sizeof *defaults; }

const char *default_key(int place) { return defaults[place].key; }

int mig_default_count(void) { return sizeof of_migs / sizeof *of_migs; }
const char *mig_default_key(int place) { return of_migs[place][0]; }
const char *mig_default_text(int place) { return of_migs[place][1]; }

const char *default_text(int place, const char *profile) {
    int which = UNKNOWN_IS;
    for (int i = 0; i < PROFILES; i++)
        if (strcmp(profiles[i], profile) == 0) which = i;
    return defaults[place].texts[which];
}
