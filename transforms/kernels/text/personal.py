"""What in a text looks like somebody's: addresses, numbers of phones, cards and accounts, keys. Names are not looked for.

One pass over the bytes says which documents may hold what; only those are searched by pattern, RE2's through Arrow, and what
has a checksum is held against it: Luhn's for cards (ISO/IEC 7812), mod 97 for account numbers (IBAN, ISO 13616). It proves
nothing: a number that looks like a phone's may be none, and much that is personal looks like nothing.
"""

import itertools
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.compiled import inlined, kernel
from transforms.kernels.text.columns import text_buffers

Kind = Literal["email", "phone", "card", "iban", "ip", "key"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST = 65_535  # of a kind in a document that are counted
_MARK = "\x1f"

_DIGIT, _UPPER, _LOWER, _BETWEEN, _AT, _COLON, _HYPHEN, _UNDERSCORE = (1 << bit for bit in range(8))
_ALPHANUMERIC = _DIGIT | _UPPER | _LOWER
_TOKEN = _ALPHANUMERIC | _HYPHEN | _UNDERSCORE
_RARE = _DIGIT | _AT | _COLON | _HYPHEN  # one of them stands in all that is looked for, but for some keys
_DOT, _KEY = ord("."), 20  # bytes of the shortest key
# Two characters of a country and the length of its account numbers (SWIFT's registry).
_LENGTHS = """
AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DK:18 DO:28 EE:20 EG:29
ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20
LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 PK:24 PL:28 PS:29 PT:25
QA:29 RO:24 RS:22 SA:24 SC:31 SE:24 SI:19 SK:24 SM:27 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20
"""


def _ibans() -> str:
    """Of each length the countries that have it: a number then ends where it ends, whatever stands right behind it."""
    pairs = sorted((int(pair[3:]), pair[:2]) for pair in _LENGTHS.split())
    by_length = itertools.groupby(pairs, lambda pair: pair[0])
    forms = (rf"(?:{'|'.join(name for _, name in own)})\d{{2}}(?: ?[A-Z0-9]){{{n - 4}}}" for n, own in by_length)
    return rf"\b(?:{'|'.join(forms)})"


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PATTERNS = {
    "email": r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})\.)+[A-Za-z]{2,24}",
    # With a country code, or as North America writes its numbers.
    "phone": r"\+\d[\d ().\-/]{6,22}\d|\(\d{3}\) ?\d{3}[.\- ]\d{4}|\b\d{3}[.\-]\d{3}[.\-]\d{4}\b",
    "card": r"\d(?:[ \-]?\d){12,}",
    "iban": _ibans(),
    # With all of the word that has dots, from which four numbers are told; a full stop behind it is none of it.
    "ip": r"(?:[0-9A-Za-z]+\.+)*[0-9A-Za-z]*\d\.\d[0-9A-Za-z]*(?:\.+[0-9A-Za-z]+)*"
    r"|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}",
    "key": r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{60,}|\bsk-[A-Za-z0-9_\-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9\-]{15,}|\bAIza[0-9A-Za-z_\-]{35}|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[A-Za-z0-9_\-]{17,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}"
    # To its end, or as far as its lines are long: what stands between two hyphens that follow each other is none of it.
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
    r"(?:(?:[\w+/=:,.\s\\]|-\w)*-----END [A-Z ]{0,20}PRIVATE KEY-----|(?:\s+[A-Za-z0-9+/=]{40,})*)",
}
_IPV4 = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"


class Spans(NamedTuple):
    """Where something stands in a column of texts, in order. int64[found] each.

    Attributes:
      document: which text.
      start, end: in bytes from where the first text begins.
    """

    document: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[list(b"0123456789")] = _DIGIT
    table[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")] = _UPPER
    table[list(b"abcdefghijklmnopqrstuvwxyz")] = _LOWER
    table[list(b" ().-/+" + _MARK.encode())] = _BETWEEN  # as which the patterns see it
    table[ord("-")] |= _HYPHEN
    table[ord("@")], table[ord(":")], table[ord("_")] = _AT, _COLON, _UNDERSCORE
    return table


_CLASSES = _classes()


@inlined
def _back(data, classes, of, at, end):  # type: ignore[no-untyped-def]
    """The last place from `at` down to `end` whose byte is of none of these classes; `end` if there is none."""
    while at > end and classes[data[at]] & of:
        at -= 1
    return at


@kernel("u8[] i64[] u8[] u8[,]!")
def _may_hold(data, offsets, classes, may):
    """For each document and kind whether it may hold one: a superset of those that do."""
    for d in range(len(offsets) - 1):
        before, end = offsets[d] - 1, offsets[d + 1]
        digits, dots, digit, colon = 0, 0, before, before  # the last of each, and how many belong together
        for i in range(before + 1, end):
            c = classes[data[i]]
            if not c & _RARE:
                continue
            if c & _DIGIT:
                if digit < i - 1:
                    is_dotted = digit == i - 2 and digits > 0 and data[i - 1] == _DOT
                    dots = dots + 1 if is_dotted else 0
                    digits = digits if _back(data, classes, _BETWEEN, i - 1, digit) == digit else 0
                digits, digit = digits + 1, i
                may[d, 1] |= digits >= 7
                may[d, 2] |= digits >= 13
                may[d, 4] |= dots >= 3
                if i + 1 < end and classes[data[i + 1]] & _DIGIT and classes[data[i - 1]] & _UPPER:
                    may[d, 3] |= _back(data, classes, _UPPER, i - 1, before) == i - 3
            elif c & _COLON:
                may[d, 4] |= colon > before and _back(data, classes, _ALPHANUMERIC, i - 1, colon) == colon
                colon = i
            elif c & _AT:
                may[d, 0] = 1
            else:
                may[d, 5] |= _back(data, classes, _HYPHEN, i, max(before, i - 5)) <= i - 5
        i = before + _KEY
        while i < end:  # only the ends of what may be a key are looked at
            gap = _back(data, classes, _TOKEN, i, i - _KEY)
            if gap == i - _KEY:
                may[d, 5] = 1
                break
            i = gap + _KEY


def may_hold(text: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    """Which texts are worth a search for which kinds: all that have one, and some that have none. bool[n, KINDS]."""
    may = np.zeros((len(text), len(KINDS)), np.uint8)
    _may_hold(*text_buffers(text), _CLASSES, may)
    return may.view(bool)


def count(text: pa.LargeStringArray) -> npt.NDArray[np.uint16]:
    """How many of each kind each document has, at most `MOST`. uint16[n, KINDS].

    Args:
      text: large_string, no nulls.
    """
    n, may = len(text), may_hold(text)
    found = np.zeros((n, len(KINDS)), np.int64)
    for number, kind in enumerate(KINDS):
        rows = np.flatnonzero(may[:, number])
        if len(rows):
            found[:, number] = np.bincount(rows[spans(text.take(pa.array(rows)), kind).document], minlength=n)
    return np.minimum(found, MOST).astype(np.uint16)


def spans(text: pa.LargeStringArray, kind: Kind, checked: bool = True) -> Spans:
    """Where something of a kind is, one after the other in each text.

    Args:
      text: large_string, no nulls.
      kind: of them.
      checked: False: also what only looks like it, and has not its checksum, or length.
    """
    pattern = _PATTERNS[kind]
    clean = pc.replace_substring(text, _MARK, " ")  # as long as it was
    has = np.flatnonzero(pc.match_substring_regex(clean, pattern).to_numpy(zero_copy_only=False))
    nothing = np.zeros(0, np.int64)
    if not len(has):
        return Spans(nothing, nothing, nothing)
    some = clean.take(pa.array(has))
    parts = pc.split_pattern(pc.replace_substring_regex(some, f"({pattern})", f"{_MARK}\\1{_MARK}"), _MARK)
    offsets = parts.offsets.to_numpy().astype(np.int64)
    each = parts.flatten()
    is_match = (np.arange(len(each)) - np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))) % 2 == 1
    size = pc.binary_length(each).to_numpy(zero_copy_only=False).astype(np.int64)
    document = has[np.repeat(np.arange(len(has)), np.diff(offsets))]
    begins = text_buffers(text)[1]
    end = np.cumsum(size)
    # The parts of a document are as long as it is: where they begin in it, it begins in the whole column.
    before = np.r_[0, np.cumsum(pc.binary_length(some).to_numpy(zero_copy_only=False).astype(np.int64))]
    end += np.repeat(begins[has] - begins[0] - before[:-1], np.diff(offsets))
    if checked and kind in _CHECKS:
        good = _CHECKS[kind](each.filter(pa.array(is_match)).cast(pa.string()))
        is_match[is_match] = good
    return Spans(document[is_match], (end - size)[is_match], end[is_match])


def _phones(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    digits = pc.count_substring_regex(found, r"\d").to_numpy()
    return (digits >= 8) & (digits <= 15)  # of a number with its country code (ITU-T E.164)


def _cards(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    return np.array([_is_card(one) for one in pc.replace_substring_regex(found, r"\D", "").to_pylist()], bool)


def _is_card(digits: str) -> bool:
    """By length, the first digit of payment cards, and Luhn's sum."""
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456" or len(set(digits)) < 2:
        return False
    doubled = [int(d) for d in digits[-2::-2]]
    return (sum(int(d) for d in digits[::-2]) + sum(2 * d - 9 * (d > 4) for d in doubled)) % 10 == 0


def _remainders(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    return np.array([_is_iban(one) for one in pc.replace_substring(found, " ", "").to_pylist()], bool)


def _is_iban(number: str) -> bool:
    """By the remainder mod 97."""
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def _ips(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    four = pc.match_substring_regex(found, _IPV4).to_numpy(zero_copy_only=False)
    return four | np.array([_is_ipv6(one) for one in found.to_pylist()], bool)


def _is_ipv6(text: str) -> bool:
    groups = text.split(":")
    if len(groups) < 3 or sum(map(len, groups)) < 8:  # times and ratios have colons too
        return False
    empty = text.count("::")
    return (len(groups) == 8 and empty == 0 and all(groups)) or (empty == 1 and len(groups) <= 8)


_CHECKS = {"phone": _phones, "card": _cards, "iban": _remainders, "ip": _ips}
