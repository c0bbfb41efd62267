"""Where audio is kept: blob stores. (The stores for tasks are in :mod:`ttsorch.store`.)

Every one of them is a :class:`~ttsorch.protocols.BlobStore` and passes
:class:`ttsorch.testing.blob_store.BlobStoreSuite`.
"""

from urllib.parse import unquote, urlsplit

from ttsorch.errors import ConfigurationError
from ttsorch.protocols import BlobStore

_FORMS = "memory://, file:///absolute/folder or file:relative/folder"


def open_blob_store(url: str) -> BlobStore:
    """The blob store that ``url`` names. Nothing is opened or created before the store is used.

    ``memory://`` keeps blobs until the process ends. ``file:///absolute/folder`` and
    ``file:relative/folder`` are folders, percent-encoded as RFC 8089 has it; what ``file://`` is followed
    by is a host there, so ``file://relative/folder`` is refused rather than guessed at.

    Raises:
        ConfigurationError: ``url`` has none of these forms.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _malformed() from None  # the cause quotes the URL
    if parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
        raise _malformed()
    if parts.scheme == "memory" and not parts.path:
        from ttsorch.storage.memory import MemoryBlobStore

        return MemoryBlobStore()
    folder = unquote(parts.path)
    if parts.scheme == "file" and folder and "\0" not in folder:
        from ttsorch.storage.filesystem import FilesystemBlobStore

        return FilesystemBlobStore(folder)
    raise _malformed()


def _malformed() -> ConfigurationError:
    return ConfigurationError(f"A blob store is given as one of: {_FORMS}.", field="blob_store")
