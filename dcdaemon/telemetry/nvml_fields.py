"""Many values of one GPU in one call: nvmlDeviceGetFieldValues over a list that is laid out once."""

import struct
from collections.abc import Callable, Iterable, Mapping
from ctypes import Array, byref, c_int32

from dcdaemon.telemetry.nvml_errors import UNSUPPORTED, function, unsupported
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_values import Asker, Values

# nvmlFieldValue_t: id, scope, time stamp, latency, type, return code, value.
_LAYOUT = struct.Struct("=IIqqIIQ")
_DOUBLE, _LONG = struct.Struct("=d"), struct.Struct("=Q")
_ALL_ONES = {
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: 2**32 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: 2**64 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: 2**64 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: 2**16 - 1,
}
_SIGNED_BITS = {pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: 64, pynvml.NVML_VALUE_TYPE_SIGNED_INT: 32}
#: Scope of the fields that can tell of all NVLinks together.
ALL_LINKS = 0xFFFFFFFF
#: Lengthens a counter of 32 bits, given its raw value; None while that cannot be done.
Lengthen = Callable[[int], int | None]


class Field:
    """One value by its id; `times` and `per` turn its unit into the sample's. Fields of one name are added up."""

    __slots__ = ("id", "name", "per", "scope", "times")

    def __init__(self, name: str, number: int, *, times: int = 1, per: int = 1, scope: int = 0) -> None:
        self.name, self.id, self.times, self.per, self.scope = name, number, times, per, scope


class FieldBatch(Asker):
    """Asks for the fields of one tier at once; one that is not supported is struck off for good.

    `struck` is told the names of which nothing is left.
    """

    def __init__(
        self,
        handle: object,
        fields: Iterable[Field],
        values: Values,
        every_s: float,
        *,
        lengthen: Mapping[str, Lengthen] | None = None,
        struck: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(every_s)
        self._handle, self._values, self._struck = handle, values, struck
        self._lengthen = lengthen or {}
        self._function = function("nvmlDeviceGetFieldValues")
        self._keep(list(fields))

    @property
    def over(self) -> bool:
        """Whether no field is left."""
        return not self._fields

    def ask(self, now_s: float) -> bool:  # noqa: ARG002  the same face as all askers
        """Read all fields; one that fails for the moment is unknown until the next reading."""
        if not self._fields:
            return True
        code = self._function(self._handle, self._count, self._reference)
        if code == pynvml.NVML_SUCCESS:
            self._take()
            return True
        self._values.blank(self._places)
        if unsupported(code):
            self._ask_one_by_one()
        return False

    def _take(self) -> None:
        totals: dict[int, float | None] = {}
        refused = False
        answers = _LAYOUT.iter_unpack(self._answers)
        for place, field, (_, _, _, _, kind, code, raw) in zip(self._places, self._fields, answers, strict=True):
            if code:
                refused |= unsupported(code)
                value = None
            else:
                value = self._value(field, kind, raw)
            totals[place] = _sum(totals[place], value) if place in totals else value
        for place, total in totals.items():
            self._values.put(place, total)
        if refused:
            codes = [answer[5] for answer in _LAYOUT.iter_unpack(self._answers)]
            self._strike([field for field, code in zip(self._fields, codes, strict=True) if code in UNSUPPORTED])

    def _value(self, field: Field, kind: int, raw: int) -> float | None:
        value = decode(kind, raw)
        if value is not None and kind == pynvml.NVML_VALUE_TYPE_UNSIGNED_INT and field.name in self._lengthen:
            value = self._lengthen[field.name](int(value))
        if value is None:
            return None
        return value * field.times if field.per == 1 else value / field.per

    def _ask_one_by_one(self) -> None:
        """Find what is to be struck off: a driver may refuse the whole list for one id that it does not know."""
        refused = []
        for field in self._fields:
            array = _array([field])
            code = self._function(self._handle, c_int32(1), byref(array)) or array[0].nvmlReturn
            if code and unsupported(code):
                refused.append(field)
        # Each alone was answered: then it is the call itself that this driver does not have for us.
        self._strike(refused or list(self._fields))

    def _strike(self, fields: list[Field]) -> None:
        left = [field for field in self._fields if field not in fields]
        gone = sorted({field.name for field in fields} - {field.name for field in left})
        self._values.blank([self._values.place(name) for name in gone])
        self._keep(left)
        for name in gone:
            self._struck(name)

    def _keep(self, fields: list[Field]) -> None:
        self._fields = fields
        self._places = [self._values.place(field.name) for field in fields]
        self._array = _array(fields)
        self._count, self._reference = c_int32(len(fields)), byref(self._array)
        self._answers = memoryview(self._array).cast("B") if fields else memoryview(b"")


def decode(kind: int, raw: int) -> float | None:
    """Return a field's value from the eight bytes of its union; None for an unknown type and where all bits are set."""
    ones = _ALL_ONES.get(kind)
    if ones is not None:
        low = raw & ones
        return None if low == ones else low
    if kind == pynvml.NVML_VALUE_TYPE_DOUBLE:
        return float(_DOUBLE.unpack(_LONG.pack(raw))[0])
    bits = _SIGNED_BITS.get(kind)
    if bits is None:
        return None
    low = raw & ((1 << bits) - 1)
    return low - (1 << bits) if low >> (bits - 1) else low


def _sum(total: float | None, value: float | None) -> float | None:
    return None if total is None or value is None else total + value


def _array(fields: list[Field]) -> "Array[pynvml.c_nvmlFieldValue_t]":
    array: Array[pynvml.c_nvmlFieldValue_t] = (pynvml.c_nvmlFieldValue_t * len(fields))()
    for item, field in zip(array, fields, strict=True):
        item.fieldId, item.scopeId = field.id, field.scope
    return array
