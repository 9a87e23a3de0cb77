"""Numbers of every usual type pass, everything else is refused by name."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graves_nb.checks import SEEDS, as_number, as_seed, as_whole

wrappers = [
    int,
    float,
    np.int64,
    np.float64,
    np.array,
    torch.tensor,
    Decimal,
    Fraction,
    lambda n: torch.tensor(n, dtype=torch.float64),
]
junk = st.one_of(
    st.booleans(),
    st.text(),
    st.none(),
    st.binary(),
    st.lists(st.integers()),
    st.complex_numbers(),
    st.booleans().map(np.bool_),
    st.booleans().map(torch.tensor),
    st.just(np.ones(1)),
    st.just(torch.ones(2, 2)),
    st.just(object()),
    st.just(math.nan),
    st.just(np.float32("nan")),
    st.just(torch.tensor(math.nan)),
    st.sampled_from(["NaN", "sNaN", "Infinity"]).map(Decimal),
)


@pytest.mark.parametrize("wrap", wrappers)
@given(st.integers(-(2**40), 2**40))
def test_whole_numbers_of_every_type_are_the_same_number(wrap, n):
    for found, kind in ((as_seed(wrap(n)), int), (as_whole("n", wrap(n)), int), (as_number("n", wrap(n)), float)):
        assert found == n and type(found) is kind


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_real_numbers_of_every_type_are_the_same_number(x):
    for wrap in (float, np.float64, Decimal, Fraction, np.array, lambda v: torch.tensor(v, dtype=torch.float64)):
        assert as_number("x", wrap(x)) == x


@given(junk)
def test_what_is_no_number_is_refused_by_name(value):
    for check in (lambda v: as_number("bias", v), lambda v: as_whole("bias", v), lambda v: as_seed(v, name="bias")):
        with pytest.raises(ValueError, match="^bias is a .*got ") as refused:
            check(value)
        assert len(str(refused.value)) < 200


@given(st.floats().filter(lambda x: not x.is_integer()))
def test_no_fraction_is_a_whole_number(x):
    for value in (x, np.float64(x)):
        with pytest.raises(ValueError, match="whole number"):
            as_whole("count", value)
        with pytest.raises(ValueError, match="whole number"):
            as_seed(value)


@given(st.integers(*SEEDS))
def test_every_seed_that_passes_is_one_that_torch_takes(seed):
    assert torch.Generator().manual_seed(as_seed(seed)).initial_seed() == seed % 2**64


@given(st.one_of(st.integers(max_value=SEEDS[0] - 1), st.integers(min_value=SEEDS[1] + 1)))
def test_seeds_that_torch_does_not_take_are_refused(seed):
    with pytest.raises(ValueError, match=r"from -2\^63 to 2\^64 - 1, got"):
        as_seed(seed)


def test_consecutive_seeds_must_all_exist():
    assert as_seed(SEEDS[1] - 2, count=3) == SEEDS[1] - 2
    with pytest.raises(ValueError, match="too large for 4 consecutive seeds"):
        as_seed(SEEDS[1] - 2, count=4)


@given(st.floats(allow_nan=False), st.floats(0, 10), st.floats(0, 10), st.booleans())
def test_limits_hold(x, low, width, exclusive):
    inside = (low < x if exclusive else low <= x) and x <= low + width
    if inside:
        assert as_number("x", x, low, low + width, exclusive) == x
    else:
        with pytest.raises(ValueError, match="^x is a finite number"):
            as_number("x", x, low, low + width, exclusive)


@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float32("inf"), torch.tensor(math.inf), Decimal("Infinity")])
def test_infinities_pass_only_where_they_are_allowed(value):
    assert math.isinf(as_number("minutes", value, finite=False))
    with pytest.raises(ValueError, match="minutes is a finite number"):
        as_number("minutes", value)


@pytest.mark.parametrize(
    "value", [10**400, 10**9999, Fraction(10**400), "9" * 5000, [0] * 10**5, np.zeros(10**6)], ids=range(6)
)
def test_messages_stay_short(value):
    with pytest.raises(ValueError, match="bias is a finite number of at least 0") as refused:
        as_number("bias", value, low=0)
    assert len(str(refused.value)) < 150


def test_limits_are_named():
    with pytest.raises(ValueError, match=r"^count is a whole number from 1 to 10, got 0$"):
        as_whole("count", 0, 1, 10)
    with pytest.raises(ValueError, match=r"^temperature is a finite number above 0, got 0$"):
        as_number("temperature", 0, low=0, exclusive=True)
    with pytest.raises(ValueError, match=r"^bias is a finite number of at most 20, got the text '3'$"):
        as_number("bias", "3", high=20)
