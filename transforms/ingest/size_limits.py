"""How large a record may be: what is longer is quarantined, with its length said, and never cut."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations.wording import plural
from transforms.kernels.text.columns import text_buffers

TEXT_TOO_LONG, LINE_TOO_LONG, FILE_TOO_LARGE = "text_too_long", "line_too_long", "file_too_large"


@dataclasses.dataclass(frozen=True)
class ReadLimits:
    """What a record may cost.

    Attributes:
      max_text_bytes: of a document's text in UTF-8; a longer one is quarantined.
      max_line_bytes: of a line of JSON or text.
      max_unpacked_bytes: of a file that has to be unpacked into a temporary one before it can be read.
      batch_bytes: of text in a batch, about.
    """

    max_text_bytes: int = 10_000_000
    max_line_bytes: int = 64_000_000
    max_unpacked_bytes: int = 16_000_000_000
    batch_bytes: int = 1 << 20

    def fits(self, text: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
        """Which texts are there and not longer than a document may be. bool[n]."""
        fits = np.diff(text_buffers(text)[1]) <= self.max_text_bytes
        return fits & text.is_valid().to_numpy(zero_copy_only=False) if text.null_count else fits

    def text_too_long(self) -> tuple[str, str]:
        """Reason and detail of a text that does not fit."""
        return TEXT_TOO_LONG, f"the text is longer than {plural(self.max_text_bytes, 'byte')}"

    def file_too_large(self) -> tuple[str, str]:
        """Reason and detail of a file that would have to be unpacked, and is larger than there may be room for."""
        most = plural(self.max_unpacked_bytes, "byte")
        detail = f"it takes more than {most} of temporary disk to read; unpack it yourself, or raise ingest.max_unpacked_bytes"
        return FILE_TOO_LARGE, detail

    def line_too_long(self, what: str = "line") -> tuple[str, str]:
        """Reason and detail of a line, or a record of an archive, that does not fit."""
        return LINE_TOO_LONG, f"the {what} is longer than {plural(self.max_line_bytes, 'byte')}"
