"""Web addresses, made comparable."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.compiled import kernel
from transforms.kernels.text.columns import first_half, hash_texts, text_buffers

# User information before the host is a reader's, not the page's.
_PARTS = r"^\s*[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#\s]*@)?(?P<host>[^/?#@\s]+)(?P<rest>[^#]*)"
_PERCENT = ord("%")


def _hex_digits() -> npt.NDArray[np.uint8]:
    """What a byte is worth as a hexadecimal digit; 255: it is none."""
    table = np.full(256, 255, np.uint8)
    for digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
        table[list(digits)] = np.arange(16)
    return table


def _unreserved() -> npt.NDArray[np.bool_]:
    """Which bytes RFC 3986, section 2.3, calls unreserved: they mean the same with and without percent-encoding."""
    table = np.zeros(256, np.bool_)
    table[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")] = True
    return table


_HEX, _UNRESERVED = _hex_digits(), _unreserved()


@kernel("u8[] i64[] u8[] bool[]", allocates=True)
def _decode_unreserved(data, offsets, digits, unreserved):
    out = np.empty(offsets[-1] - offsets[0] + 1, np.uint8)  # never empty, because an Arrow buffer must not be
    out_offsets = np.zeros(len(offsets), np.int64)
    n = 0
    for i in range(len(offsets) - 1):
        at, end = offsets[i], offsets[i + 1]
        while at < end:
            byte = data[at]
            at += 1
            if byte == _PERCENT and at + 1 < end and max(digits[data[at]], digits[data[at + 1]]) < 16:
                encoded = 16 * digits[data[at]] + digits[data[at + 1]]
                if unreserved[encoded]:
                    byte = np.uint8(encoded)
                    at += 2
            out[n] = byte
            n += 1
        out_offsets[i + 1] = n
    return out, out_offsets


def decode_unreserved(urls: pa.LargeStringArray) -> pa.LargeStringArray:
    """Addresses with `%7E` as `~`, and so for all unreserved characters (RFC 3986, 6.2.2.2), once and no others.

    Args:
      urls: large_string[n], no nulls.
    """
    out, offsets = _decode_unreserved(*text_buffers(urls), _HEX, _UNRESERVED)
    return pa.LargeStringArray.from_buffers(len(urls), pa.py_buffer(offsets), pa.py_buffer(out))


def canonical_urls(urls: pa.StringArray) -> pa.StringArray:
    """Addresses without what seldom makes a difference: string[n], null where there is no absolute address.

    Dropped are the scheme, user information, `www.`, the host's last dot, the default ports, the fragment and a slash at
    the end; the host is in lower case, an empty path before a query is `/`, and unreserved characters are not
    percent-encoded. The query stays, for on many sites it names the page.
    """
    decoded = decode_unreserved(urls.fill_null("").cast(pa.large_string())).cast(pa.string())
    parts = pc.extract_regex(decoded, _PARTS)  # null where nothing matches, as in ""
    host = pc.replace_substring_regex(pc.utf8_lower(pc.struct_field(parts, "host")), r":(80|443)?$", "")
    host = pc.replace_substring_regex(pc.replace_substring_regex(host, r"\.(:[0-9]+)?$", r"\1"), r"^www\.", "")
    rest = pc.utf8_rtrim(pc.utf8_rtrim_whitespace(pc.struct_field(parts, "rest")), "/")
    rest = pc.replace_substring_regex(rest, r"^\?", "/?")
    return pc.binary_join_element_wise(host, rest, "")


def hosts(canonical: pa.StringArray) -> pa.StringArray:
    """The host of each address in its comparable form (`canonical_urls`), without a port. string[n], null where there is none."""
    return pc.replace_substring_regex(canonical, r"^(\[[^\]]*\]|[^/:?]*).*$", r"\1")


def hash_urls(urls: pa.StringArray) -> pa.UInt64Array:
    """64 bits of BLAKE2b of each address in its comparable form, never 0: uint64[n], null where there is none."""
    return hash_canonical(canonical_urls(urls))


def hash_canonical(canonical: pa.StringArray) -> pa.UInt64Array:
    """The same of addresses that are in comparable form."""
    hashes: npt.NDArray[np.uint64] = first_half(hash_texts(canonical.fill_null("").cast(pa.large_string())))
    return pa.array(
        np.maximum(hashes, np.uint64(1)), pa.uint64(), mask=canonical.is_null().to_numpy(zero_copy_only=False)
    )
