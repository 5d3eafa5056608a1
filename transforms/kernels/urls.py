"""Web addresses, made comparable."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.columns import first_half, hash_texts

_PARTS = r"^\s*[A-Za-z][A-Za-z0-9+.-]*://(?P<host>[^/?#\s]+)(?P<rest>[^#]*)"


def canonical_urls(urls: pa.StringArray) -> pa.StringArray:
    """Addresses without what seldom makes a difference: string[n], null where there is no absolute address.

    Dropped are the scheme, `www.`, the default ports, the fragment and a slash at the end; the host is in lower case. The
    query stays, for on many sites it names the page.
    """
    parts = pc.extract_regex(urls, _PARTS)
    host = pc.utf8_lower(pc.struct_field(parts, "host"))
    host = pc.replace_substring_regex(pc.replace_substring_regex(host, r"^www\.", ""), r":(80|443)$", "")
    rest = pc.utf8_rtrim(pc.utf8_rtrim_whitespace(pc.struct_field(parts, "rest")), "/")
    return pc.binary_join_element_wise(host, rest, "")


def hash_urls(urls: pa.StringArray) -> pa.UInt64Array:
    """64 bits of BLAKE2b of each address in its comparable form, never 0: uint64[n], null where there is none."""
    canonical = canonical_urls(urls)
    hashes: npt.NDArray[np.uint64] = first_half(hash_texts(canonical.fill_null("").cast(pa.large_string())))
    return pa.array(
        np.maximum(hashes, np.uint64(1)), pa.uint64(), mask=canonical.is_null().to_numpy(zero_copy_only=False)
    )
