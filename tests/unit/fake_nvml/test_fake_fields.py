"""Field values of the fake: ids, types, scopes, and an answer of its own for each."""

import pynvml
import pytest
from field_reader import ALL_LINKS, values

NOT_SUPPORTED, INVALID = "Not Supported", "Invalid Argument"


def test_a_field_says_what_the_call_of_its_own_says(driver, gpu):
    driver.gpu(0, energy_mj=9_007_199_254_740_993, power_mw=412_345, hbm_temp=71, ecc_uncorrected_aggregate=2)
    assert values(gpu, 83, 185, 186, 82, 6) == [9_007_199_254_740_993, 412_345, 412_345, 71, 2]
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) == 9_007_199_254_740_993


def test_a_field_that_is_not_known_harms_no_other(gpu):
    assert values(gpu, 999, 91) == [NOT_SUPPORTED, 18]


def test_any_field_may_be_given_with_a_type_or_an_error(driver, gpu):
    driver.gpu(0, {"field.308": "d:45.25", "field.193": "s:-8", "field.82": "!4", "field.226": 1})
    assert values(gpu, 308, 193, 82, 226) == [45.25, -8, "Insufficient Permissions", 1]


def test_traffic_is_told_for_all_links_or_for_one(driver, gpu):
    driver.gpu(0, nvlink_tx_kib=1801, nvlink_rx_kib=18)
    assert values(gpu, (138, ALL_LINKS), (138, 0), (138, 17), (139, 3)) == [1801, 101, 100, 1]
    # Without a scope it is link 0, not all of them.
    assert values(gpu, 138) == [101]
    assert values(gpu, (138, 18)) == [INVALID]


def test_a_link_may_be_given_alone(driver, gpu):
    driver.gpu(0, {"field.138.4": 7})
    assert values(gpu, (138, 4), (138, 5)) == [7, 0]


def test_recoveries_of_nvlink_5_are_told_link_by_link(driver_of):
    driver_of(profile="b200").gpu(0, nvlink_recoveries=19)
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert values(gpu, (215, 0), (215, 1), (215, ALL_LINKS)) == [2, 1, INVALID]
    assert values(gpu, 38, 52) == [NOT_SUPPORTED, NOT_SUPPORTED]


def test_byte_counters_of_pcie_turn_over_at_32_bits(driver, gpu):
    driver.gpu(0, pcie_tx_bytes=2**32 + 5)
    assert values(gpu, 197) == [5]


@pytest.mark.parametrize("profile", ["v100", "a100"])
def test_the_mean_power_is_no_field_of_ga100_and_older(driver_of, profile):
    driver_of(profile=profile)
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert values(gpu, 185)[0] == NOT_SUPPORTED
    assert values(gpu, 186)[0] == pynvml.nvmlDeviceGetPowerUsage(gpu)


def test_values_are_stamped_and_typed(gpu):
    energy, power = pynvml.nvmlDeviceGetFieldValues(gpu, [83, 185])
    assert (energy.valueType, power.valueType) == (
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
        pynvml.NVML_VALUE_TYPE_UNSIGNED_INT,
    )
    assert 0 < energy.timestamp <= power.timestamp
    assert 0 <= energy.latencyUsec <= power.latencyUsec
