"""What in a text looks like somebody's: addresses, numbers of phones, cards and accounts, keys. Names are not looked for.

One pass over the bytes says which documents may hold what; only those are searched by pattern, RE2's through Arrow, and what
has a checksum is held against it: Luhn's for cards (ISO/IEC 7812), mod 97 for account numbers (IBAN, ISO 13616). It counts and
proves nothing: a number that looks like a phone's may be none, and much that is personal looks like nothing.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.compiled import kernel
from transforms.kernels.text.columns import text_buffers

KINDS = ("email", "phone", "card", "iban", "ip", "key")
MOST = 65_535  # of a kind in a document that are counted
_MARK = "\x1f"

_OTHER, _DIGIT, _UPPER, _LOWER, _BETWEEN, _AT, _COLON, _TOKEN = range(8)
_DOT, _HYPHEN = ord("."), ord("-")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PATTERNS = {
    "email": r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})\.)+[A-Za-z]{2,24}",
    # With a country code, or as North America writes its numbers.
    "phone": r"\+\d[\d ().\-/]{6,22}\d|\(\d{3}\) ?\d{3}[.\- ]\d{4}|\b\d{3}[.\-]\d{3}[.\-]\d{4}\b",
    "card": r"\d(?:[ \-]?\d){12,}",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}",
    "ip": r"[0-9A-Za-z.]*\d\.\d[0-9A-Za-z.]*|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}",
    "key": r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{60,}|\bsk-[A-Za-z0-9_\-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9\-]{15,}|\bAIza[0-9A-Za-z_\-]{35}|\bhf_[A-Za-z0-9]{30,}"
    r"|\beyJ[A-Za-z0-9_\-]{17,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
}
_IPV4 = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"
# Two characters of a country and the length of its account numbers (SWIFT's registry).
_LENGTHS = """
AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DK:18 DO:28 EE:20 EG:29
ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20
LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 PK:24 PL:28 PS:29 PT:25
QA:29 RO:24 RS:22 SA:24 SC:31 SE:24 SI:19 SK:24 SM:27 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20
"""
_IBAN = {pair[:2]: int(pair[3:]) for pair in _LENGTHS.split()}


class Matches(NamedTuple):
    """Matches of a pattern: of which document, and what. int64[matches], string[matches]."""

    document: npt.NDArray[np.int64]
    match: pa.StringArray


def _classes() -> npt.NDArray[np.uint8]:
    table = np.full(256, _OTHER, np.uint8)
    table[list(b"0123456789")] = _DIGIT
    table[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")] = _UPPER
    table[list(b"abcdefghijklmnopqrstuvwxyz")] = _LOWER
    table[list(b" ().-/+")] = _BETWEEN
    table[ord("@")], table[ord(":")], table[ord("_")] = _AT, _COLON, _TOKEN
    return table


_CLASSES = _classes()


@kernel("u8[] i64[] u8[] u8[,]!")
def _may_hold(data, offsets, classes, may):  # noqa: C901 (one pass, one loop)
    """For each document and kind whether it may hold one: a superset of those that do."""
    for d in range(len(offsets) - 1):
        digits, dots, colons, token, upper, hyphens = 0, 0, 0, 0, 0, 0
        was_digit, was_dot = False, False
        for i in range(offsets[d], offsets[d + 1]):
            byte = data[i]
            c = classes[byte]
            is_digit, is_dot = c == _DIGIT, byte == _DOT
            if is_digit:
                digits += 1
                if digits == 7:
                    may[d, 1] = 1
                if digits == 13:
                    may[d, 2] = 1
                if upper == 2 and i + 1 < offsets[d + 1] and classes[data[i + 1]] == _DIGIT:
                    may[d, 3] = 1
                dots += was_dot
                if dots >= 3:
                    may[d, 4] = 1
            elif c != _BETWEEN:
                digits = 0
            if not is_digit and not (is_dot and was_digit):
                dots = 0
            upper = upper + 1 if c == _UPPER else 0
            hyphens = hyphens + 1 if byte == _HYPHEN else 0
            token = token + 1 if is_digit or c in (_UPPER, _LOWER, _TOKEN) or byte == _HYPHEN else 0
            if token >= 20 or hyphens >= 5:
                may[d, 5] = 1
            if c == _COLON:
                colons += 1
                if colons >= 2:
                    may[d, 4] = 1
            elif not is_digit and c not in (_UPPER, _LOWER):
                colons = 0
            if c == _AT:
                may[d, 0] = 1
            was_digit, was_dot = is_digit, is_dot and was_digit


def count(text: pa.LargeStringArray) -> npt.NDArray[np.uint16]:
    """How many of each kind each document has, at most `MOST`. uint16[n, KINDS].

    Args:
      text: large_string, no nulls.
    """
    n = len(text)
    may = np.zeros((n, len(KINDS)), np.uint8)
    _may_hold(*text_buffers(text), _CLASSES, may)
    found = np.zeros((n, len(KINDS)), np.int64)
    for number, kind in enumerate(KINDS):
        rows = np.flatnonzero(may[:, number])
        if len(rows):
            found[:, number] = np.bincount(rows[_matches(text.take(pa.array(rows)), kind)], minlength=n)
    return np.minimum(found, MOST).astype(np.uint16)


def _matches(text: pa.LargeStringArray, kind: str) -> npt.NDArray[np.int64]:
    """Of which document each of a kind is, int64[found]."""
    has = np.flatnonzero(pc.match_substring_regex(text, _PATTERNS[kind]).to_numpy(zero_copy_only=False))
    if not len(has):
        return has
    found = find_all(text.take(pa.array(has)), _PATTERNS[kind])
    good = _CHECKS[kind](found.match) if kind in _CHECKS else np.ones(len(found.match), bool)
    return has[found.document[good]]


def find_all(text: pa.LargeStringArray, pattern: str) -> Matches:
    """Every match of a pattern that has no group of its own, one after the other in each text."""
    clean = pc.replace_substring(text, _MARK, " ")
    parts = pc.split_pattern(pc.replace_substring_regex(clean, f"({pattern})", f"{_MARK}\\1{_MARK}"), _MARK)
    offsets = parts.offsets.to_numpy().astype(np.int64)
    place = np.arange(offsets[-1] - offsets[0]) - np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))
    odd = pa.array(place % 2 == 1)
    document = np.repeat(np.arange(len(text)), np.diff(offsets))
    return Matches(document[place % 2 == 1], parts.flatten().filter(odd).cast(pa.string()))


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


def _ibans(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    return np.array([_is_iban(one) for one in pc.replace_substring(found, " ", "").to_pylist()], bool)


def _is_iban(number: str) -> bool:
    """By its country's length, and the remainder mod 97. What follows without a space may have been taken for a part of it."""
    length = _IBAN.get(number[:2], 0)
    if not length or len(number) < length:
        return False
    own = number[:length]
    return int("".join(str(int(c, 36)) for c in own[4:] + own[:4])) % 97 == 1


def _ips(found: pa.StringArray) -> npt.NDArray[np.bool_]:
    bare = pc.utf8_trim(found, ".")
    four = pc.match_substring_regex(bare, _IPV4).to_numpy(zero_copy_only=False)
    return four | np.array([_is_ipv6(one) for one in found.to_pylist()], bool)


def _is_ipv6(text: str) -> bool:
    groups = text.split(":")
    if len(groups) < 3 or sum(map(len, groups)) < 8:  # times and ratios have colons too
        return False
    empty = text.count("::")
    return (len(groups) == 8 and empty == 0 and all(groups)) or (empty == 1 and len(groups) <= 8)


_CHECKS = {"phone": _phones, "card": _cards, "iban": _ibans, "ip": _ips}
