"""A bucket of moto's S3, looked at over HTTP and without the store under test."""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ttsorch.storage.object import ObjectBlobStore

#: What moto is given, and no message may show.
CREDENTIALS = {
    "access_key_id": "canary-access-key",
    "secret_access_key": "canary-secret-key",
    "session_token": "canary-session-token",
}


# moto believes any signature, but it wants one.
_SIGNED = {
    "authorization": "AWS4-HMAC-SHA256 Credential=oracle/20260101/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=0"
}


@contextmanager
def s3_server(*options: str) -> Iterator[str]:
    """The origin of a running S3."""
    script = Path(__file__).with_name("s3_server.py")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@dataclass(frozen=True)
class S3Bucket:
    """``origin`` is the server's."""

    origin: str
    name: str

    @classmethod
    def made_at(cls, origin: str) -> "S3Bucket":
        """A new bucket, without anything in it."""
        bucket = cls(origin, f"bucket-{uuid.uuid4().hex[:12]}")
        httpx.put(f"{origin}/{bucket.name}").raise_for_status()
        return bucket

    def url(self, prefix: str = "", *, endpoint: str | None = None) -> str:
        return f"s3://{self.name}/{prefix}?endpoint={endpoint or self.origin}&region=us-east-1"

    def store(
        self,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        patience: float = 10.0,
        retries: int = 2,
    ) -> ObjectBlobStore:
        """The store under test."""
        return ObjectBlobStore(
            self.url(prefix, endpoint=endpoint),
            credentials=CREDENTIALS,
            patience=patience,
            retries=retries,
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.origin}/{self.name}/{path}", headers=_SIGNED)

    def read(self, path: str) -> bytes | None:
        """The bytes at a path, None if there are none."""
        answer = self.get(path)
        return None if answer.status_code == 404 else answer.raise_for_status().content

    def put(self, path: str, data: bytes) -> None:
        """As somebody else would."""
        where = f"{self.origin}/{self.name}/{path}"
        httpx.put(where, content=data, headers=_SIGNED).raise_for_status()

    def unfinished_uploads(self) -> list[str]:
        """The keys of multipart uploads that were neither completed nor aborted."""
        answer = httpx.get(f"{self.origin}/{self.name}?uploads", headers=_SIGNED).raise_for_status()
        return re.findall(r"<Upload>.*?<Key>([^<]*)</Key>", answer.text)
