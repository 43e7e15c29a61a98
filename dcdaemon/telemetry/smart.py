"""What smartctl's JSON says of a drive: SATA, SAS and NVMe told in the same words."""

from collections.abc import Iterator
from typing import Any

from dcdaemon.core.samples import DriveSample

#: NVM Express Base Specification, SMART / Health Information, Critical Warning.
_CRITICAL = (
    "spare blocks are running out", "its temperature is out of range", "it has become unreliable",
    "it takes no more writes", "its backup of volatile memory failed", "its persistent memory has become unreliable",
)  # fmt: skip
#: smartctl(8), EXIT STATUS, by the number of the bit.
EXIT_BITS = (
    "smartctl did not understand its command line", "the drive could not be opened, or sleeps",
    "a command failed, or its answer had a wrong checksum", "the drive says that it is failing",
    "an attribute is below its threshold: failure is near", "an attribute was below its threshold in the past",
    "its error log has entries", "its log of self-tests has failures",
)  # fmt: skip
_FAILING, _PREFAIL = 3, 4
#: SATA attributes whose meaning all vendors share, by number; their raw value.
_REALLOCATED, _UNCORRECTED, _PENDING = 5, 187, 197
#: Attributes whose normalised value counts down from 100 as an SSD wears, as smartmontools' drive database calls them.
_LIFE_LEFT = frozenset({
    "Media_Wearout_Indicator", "Percent_Lifetime_Remain", "Remaining_Lifetime_Perc", "SSD_Life_Left",
    "Wear_Leveling_Count",
})  # fmt: skip
#: Attributes that count what was written, in a unit the name tells; any other name may mean anything.
_WRITTEN_UNIT_BYTES = {
    "Host_Writes_32MiB": 32 * 2**20, "Host_Writes_GiB": 2**30, "Host_Writes_MiB": 2**20, "Lifetime_Writes_GiB": 2**30,
    "Total_Host_Writes_GiB": 2**30, "Total_Writes_32MiB": 32 * 2**20, "Total_Writes_GiB": 2**30,
}  # fmt: skip
_NVME_UNIT_BYTES = 512_000
_LARGEST = 2**63

Report = dict[str, Any]


def drive_sample(drive: Report, at: float) -> DriveSample | None:
    """Return the health of one drive as the sensors unit wrote it; None for one that knows no SMART at all."""
    report = drive.get("report")
    report = report if isinstance(report, dict) else {}
    if _of(report, "smart_support", "available") is False:
        return None
    health, attributes = _of(report, "nvme_smart_health_information_log"), _attributes(report)
    passed, error = _of(report, "smart_status", "passed"), drive.get("error")
    return DriveSample(
        at=time_of(drive.get("at"), at),
        device=device_name(drive),
        model=_text(report.get("model_name")) or _text(report.get("scsi_model_name")),
        healthy=passed if isinstance(passed, bool) else None,
        wear_ratio=_wear_ratio(report, attributes),
        spare_ratio=_percent(_of(health, "available_spare")),
        spare_threshold_ratio=_percent(_of(health, "available_spare_threshold")),
        critical_warning=_count(_of(health, "critical_warning")),
        media_errors=_first(_of(health, "media_errors"), _raw(attributes, _UNCORRECTED), _uncorrected(report)),
        error_log_entries=_first(_of(health, "num_err_log_entries"), report.get("ata_error_log_entries")),
        unsafe_shutdowns=_count(_of(health, "unsafe_shutdowns")),
        written_bytes=_written_bytes(report, attributes),
        temp_c=_first(_of(report, "temperature", "current")),
        power_on_s=_power_on_s(report),
        reallocated_sectors=_first(_raw(attributes, _REALLOCATED), report.get("scsi_grown_defect_list")),
        pending_sectors=_count(_raw(attributes, _PENDING)),
        serial=_text(report.get("serial_number")),
        error=_asleep(error) if isinstance(error, str) else None,
    )


def device_name(drive: Report) -> str:
    """Return a drive's name without /dev/; behind a RAID controller also its place there."""
    name, kind = str(drive.get("name")).removeprefix("/dev/"), str(drive.get("type"))
    return f"{name} {kind}" if "," in kind else name


def time_of(found: object, at: float) -> float:
    """Return a time as the sensors unit wrote it; `at` for what is none."""
    return float(found) if isinstance(found, (int, float)) and 0 < found < _LARGEST else at


def warnings(sample: DriveSample, exit_status: object) -> Iterator[str]:
    """Yield what is wrong with a drive, as it says itself."""
    status = _count(exit_status) or 0
    if sample.healthy is False or status >> _FAILING & 1:
        yield "it says that it is failing"
    elif status >> _PREFAIL & 1:
        yield EXIT_BITS[_PREFAIL]
    for bit, words in enumerate(_CRITICAL):
        if (sample.critical_warning or 0) >> bit & 1:
            yield words
    spare, least = sample.spare_ratio, sample.spare_threshold_ratio
    if spare is not None and least is not None and spare < least:
        yield f"spare blocks are below the threshold of {least:.0%}"
    if (sample.wear_ratio or 0) >= 1:
        yield "all its rated writes are used up"


def grown(sample: DriveSample, before: DriveSample) -> Iterator[str]:
    """Yield what a drive could not mend since the last reading."""
    for words, now, then in (
        ("errors of the medium", sample.media_errors, before.media_errors),
        ("replaced sectors", sample.reallocated_sectors, before.reallocated_sectors),
        ("unreadable sectors", sample.pending_sectors, before.pending_sectors),
    ):
        if now is not None and then is not None and now > then:
            yield f"{now - then} more {words} ({now} in all)"


def exit_words(exit_status: object) -> list[str]:
    """Return what the bits of smartctl's exit status mean."""
    status = _count(exit_status) or 0
    return [words for bit, words in enumerate(EXIT_BITS) if status >> bit & 1]


def _asleep(error: str) -> str:
    return "asleep, and not woken to be asked" if " mode, exit(" in error else error


def _wear_ratio(report: Report, attributes: dict[int, Report]) -> float | None:
    for used in (
        _of(report, "nvme_smart_health_information_log", "percentage_used"),
        _of(report, "endurance_used", "current_percent"),
        report.get("scsi_percentage_used_endurance_indicator"),
    ):
        if _count(used) is not None:
            return _percent(used)
    for attribute in attributes.values():
        left = _count(attribute.get("value"))
        if attribute.get("name") in _LIFE_LEFT and left is not None and left <= 100:
            return (100 - left) / 100
    return None


def _written_bytes(report: Report, attributes: dict[int, Report]) -> int | None:
    units = _count(_of(report, "nvme_smart_health_information_log", "data_units_written"))
    if units is not None:
        return _count(units * _NVME_UNIT_BYTES)
    for attribute in attributes.values():
        unit, number = _WRITTEN_UNIT_BYTES.get(str(attribute.get("name"))), _count(_of(attribute, "raw", "value"))
        if attribute.get("name") == "Total_LBAs_Written":
            unit = _count(report.get("logical_block_size"))
        if unit and number is not None:
            return _count(number * unit)
    try:  # SAS: thousand millions of bytes, as text
        return _count(int(float(_of(report, "scsi_error_counter_log", "write", "gigabytes_processed")) * 1e9))
    except (TypeError, ValueError, OverflowError):
        return None


def _uncorrected(report: Report) -> int | None:
    log = _of(report, "scsi_error_counter_log")
    counts = [_count(_of(log, kind, "total_uncorrected_errors")) for kind in ("read", "write", "verify")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _power_on_s(report: Report) -> float | None:
    hours, minutes = (_count(_of(report, "power_on_time", unit)) for unit in ("hours", "minutes"))
    return None if hours is None else hours * 3600.0 + (minutes or 0) * 60.0


def _attributes(report: Report) -> dict[int, Report]:
    table = _of(report, "ata_smart_attributes", "table")
    rows = [row for row in table if isinstance(row, dict)] if isinstance(table, list) else []
    return {row["id"]: row for row in rows if _count(row.get("id")) is not None}


def _raw(attributes: dict[int, Report], number: int) -> object:
    return _of(attributes.get(number), "raw", "value")


def _of(document: object, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _first(*found: object) -> int | None:
    return next((number for number in map(_count, found) if number is not None), None)


def _count(found: object) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _LARGEST else None


def _percent(found: object) -> float | None:
    number = _count(found)
    return None if number is None else number / 100


def _text(found: object) -> str | None:
    return found.strip() or None if isinstance(found, str) else None
