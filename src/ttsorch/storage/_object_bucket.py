"""A bucket as obstore opens it, and obstore's errors as ours, for :mod:`ttsorch.storage.object`."""

import asyncio
import re
from datetime import timedelta
from typing import Any, TypeAlias, cast

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from ttsorch.errors import BlobExists, ConfigurationError, StorageUnavailable
from ttsorch.storage._object_urls import ObjectUrl

Bucket: TypeAlias = S3Store | GCSStore | AzureStore

#: Some of obstore's errors are Python's own: FileNotFoundError, and NotImplementedError for what a store or
#: its credentials can't do.
OBSTORE_ERRORS = (BaseError, OSError, NotImplementedError)

#: How long a listener may take over one blob; whether anything moves at all, ``patience`` watches.
_LONGEST_READ = timedelta(hours=6)

_STATUS = re.compile(r"status code: ([0-9]{3})")
_FORBIDDEN = "The blob store refuses its credentials."
_NO_BUCKET = "The blob store's bucket does not exist."
_ENVIRONMENT = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}


def opened(place: ObjectUrl, credentials: dict[str, str], patience: float, retries: int) -> Bucket:
    client: dict[str, object] = {
        "allow_http": place.allow_http,
        "connect_timeout": timedelta(seconds=min(5.0, patience)),
        "read_timeout": timedelta(seconds=patience),
        "timeout": _LONGEST_READ,
        "pool_idle_timeout": timedelta(seconds=15),
        "user_agent": "ttsorch",
    }
    again = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=patience),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)},
    }
    config = {**_settings(place), **credentials}
    kind: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[place.scheme]
    try:
        opened = kind(
            place.bucket,
            prefix=place.prefix,
            config=config,
            client_options=client,
            retry_config=again,
        )
    except (BaseError, OSError, ValueError, TypeError) as error:
        what = type(error).__name__
    else:
        return cast("Bucket", opened)
    raise ConfigurationError(
        f"The settings of the {place.scheme}:// blob store are incomplete or malformed: see the"
        f" environment variables that begin with {_ENVIRONMENT[place.scheme]}.",
        field="blob_store",
        detail=what,
    )


def _settings(place: ObjectUrl) -> dict[str, str]:
    if place.scheme == "s3":
        settings = {
            # Under both of its names, so that no variable of the environment goes before the URL.
            "endpoint": place.endpoint,
            "aws_endpoint_url_s3": place.endpoint,
            "conditional_put": "etag",
            "region": place.region,
            "virtual_hosted_style_request": "true" if place.virtual_hosted else "false",
            # One key at a time: what all that is compatible with S3 can do.
            "disable_bulk_delete": "true",
        }
    elif place.scheme == "gs":
        settings = {"base_url": place.endpoint}
    else:
        settings = {"endpoint": place.endpoint, "account_name": place.account}
    return {name: value for name, value in settings.items() if value is not None}


def need_asyncio() -> None:
    try:
        asyncio.get_running_loop()
        return
    except RuntimeError:
        pass
    raise RuntimeError("ObjectBlobStore runs on asyncio only")


def failure_of(error: Exception, name: str, *, missing: StorageUnavailable) -> StorageUnavailable:
    """obstore's errors as ours. Their text holds URLs and what the server said: it goes no further."""
    status = _status_in(error)
    if isinstance(error, FileNotFoundError) or status == "404":
        return missing
    if isinstance(error, AlreadyExistsError):
        return BlobExists()
    refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    refused = refused or status in ("401", "403")
    return StorageUnavailable(_FORBIDDEN if refused else None, detail=told(error, name))


def told(error: Exception, name: str) -> str:
    """All of an error that a log may show."""
    return f"{name}: {type(error).__name__} {_status_in(error)}".rstrip()


def _status_in(error: Exception) -> str:
    """Not every operation has its errors told apart by class."""
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def no_bucket() -> StorageUnavailable:
    return StorageUnavailable(_NO_BUCKET, detail="404")
