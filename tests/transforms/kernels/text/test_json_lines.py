"""Lines that may hold an odd number, against the expression that says what one is."""

import re

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.ingest.json_columns import NO_NUMBER, Block
from transforms.kernels.text.json_lines import LONG, odd_numbers

PARTS = [*'0123456789.+-:,[]{} \t"eExf', "NaN", "Inf", "Infinity", "1e1", "E+100", "0" * (LONG - 1), "word", "\u00ee"]
lines = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


def found(*lines: str) -> npt.NDArray[np.bool_]:
    block = Block("\n".join(lines).encode())
    return odd_numbers(block.data, block.starts, block.ends)


@given(st.lists(lines, min_size=1, max_size=6))
@example(["{}", '{"n": NaN}', '{"n":[-Infinity ]}', ":1e100,", ":1.E+100}", "[" + "0" * LONG])
def test_no_line_with_an_odd_number_is_passed_over(some: list[str]) -> None:
    is_odd = np.array([re.search(NO_NUMBER.encode(), line.encode()) is not None for line in some])
    assert (found(*some) | ~is_odd).all()


def test_ordinary_lines_are_not_looked_at_again() -> None:
    ordinary = [
        '{"a": 1.5e10, "b": [-2, 0.25], "c": "In one, 1e9 or NANs"}',
        "{}",
        "",
        '{"n": ' + "0" * (LONG - 1) + "}",
        "x" * 5_000,
    ]
    assert found('{"n": NaN}', *ordinary).tolist() == [True, False, False, False, False, False]
