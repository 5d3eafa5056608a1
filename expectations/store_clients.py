"""Clients of the stores that objects lie in, as the environment describes them: one of each for a process."""

import datetime
import functools
import os

from pyarrow import fs

SETTINGS = {  # what makes another client of a store
    "s3": (
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ),
    "gs": ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"),
    "hf": ("HF_ENDPOINT", "HF_TOKEN"),
}
_ENDPOINTS = {"s3": SETTINGS["s3"][:2], "gs": SETTINGS["gs"][:1], "hf": SETTINGS["hf"][:1]}
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN")
# What to do where a store has no right for us.
RIGHTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of somebody who may, and AWS_REGION",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the key file of somebody who may",
    "hf": "set HF_TOKEN to a token of somebody who may, and accept the data set's terms on its page",
}


@functools.lru_cache(maxsize=8)
def client(scheme: str, settings: tuple[str, ...], stall: int) -> fs.FileSystem:
    """A client of a store.

    Args:
      scheme: of its addresses.
      settings: what the environment says of it, as `SETTINGS` names it.
      stall: seconds without a byte after which a request counts as failed.

    Raises:
      ImportError: the hub's library is not installed.
    """
    if scheme == "s3":
        endpoint, region = settings[0] or settings[1], settings[2] or settings[3]
        return fs.S3FileSystem(
            endpoint_override=endpoint or None,
            region=region or None,
            connect_timeout=4,
            request_timeout=stall,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),  # `patiently` does the rest
            background_writes=False,
            allow_delayed_open=True,  # one request for a small object, not three
        )
    if scheme == "gs":
        limit = datetime.timedelta(seconds=stall)
        if settings[0]:  # as Google's own libraries take it
            to, _, host = settings[0].rpartition("://")
            return fs.GcsFileSystem(
                anonymous=True, scheme=to or "http", endpoint_override=host.rstrip("/"), retry_time_limit=limit
            )
        return fs.GcsFileSystem(retry_time_limit=limit)
    from huggingface_hub import HfFileSystem

    return fs.PyFileSystem(fs.FSSpecHandler(HfFileSystem(endpoint=settings[0] or None)))


def endpoint(path: str) -> str:
    """Where the environment says that a store is; "": where its own tools know."""
    return next((os.environ[name] for name in _ENDPOINTS[path.partition("://")[0]] if os.environ.get(name)), "")
