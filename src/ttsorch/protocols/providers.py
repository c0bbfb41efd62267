"""What a provider has to be, and the powers that it may have."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ttsorch.models import (
    Attempt,
    AudioSource,
    CancelOutcome,
    Capabilities,
    CheckResult,
    Clip,
    Envelope,
    Ready,
    SpeechRequest,
    SubmitResult,
    Ticket,
    Voice,
)


class Provider(Protocol):
    """A text-to-speech system. Holds no state about jobs, never loops, never sleeps.

    A *job* provider answers a submit fast and is asked for the job's state later. A *direct* provider
    (``capabilities.direct``) is one long call whose answer is the speech itself.
    """

    @property
    def name(self) -> str:
        """The stable name that rows and voices carry: lower-case letters, digits and underscores."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> SubmitResult:
        """Hand the request over, with at most one call that can cost money.

        A direct provider returns :class:`~ttsorch.models.Ready`, a job provider usually
        :class:`~ttsorch.models.Accepted`. When this is cancelled, a provider that can stop its work
        (a child process, say) stops it.

        Raises:
            ProviderError: with ``ambiguous`` set whenever the call may have been accepted, with ``started``
                when the provider began and then failed; otherwise it is certain that nothing was started,
                and ``retryable`` says whether to try again.
        """
        ...

    async def check(self, ticket: Ticket) -> CheckResult:
        """Ask for the job's state: exactly one exchange.

        A word that this adapter doesn't know is :class:`~ttsorch.models.Running`; a
        :class:`~ttsorch.models.Ready` from here always has an envelope.

        Raises:
            ProviderError: it could not be asked. Never means that the job failed.
        """
        ...

    def fetch(self, envelope: Envelope) -> AudioSource:
        """Open the result for reading. Repeatable.

        Raises (on entering or while reading):
            NotReady: not there yet. ResultExpired: gone. ProviderError: could not be read this time.
        """
        ...

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Ask the provider to stop a job; harmless when repeated.

        Raises:
            ProviderError: it could not be asked.
        """
        ...

    async def aclose(self) -> None:
        """Close what this provider opened itself. Harmless when repeated."""
        ...


@runtime_checkable
class VoiceCatalog(Protocol):
    """The power to list built-in voices."""

    async def voices(self) -> Sequence[Voice]:
        """All built-in voices, in a stable order, with ids that never change (uuid5) and no owner."""
        ...


@runtime_checkable
class RequestChecking(Protocol):
    """The power to refuse what can't be expressed to this vendor, before anything is written."""

    def check_request(self, request: SpeechRequest) -> None:
        """Pure and quick.

        Raises:
            ValidationError: the vendor has no way to take this request.
        """
        ...


@runtime_checkable
class VoiceCloning(Protocol):
    """The power to make a voice of its own out of a recording, with a call that may cost money. A provider
    that only sends the recording along (``capabilities.sends_clip``) doesn't need it."""

    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        """Make a voice that sounds like ``clip``, whose words are ``draft.reference_transcript``.

        Returns:
            A :class:`~ttsorch.models.Ready` with ``voice``, and neither an envelope nor audio.

        Raises:
            ProviderError: as for :meth:`Provider.submit`.
        """
        ...


@runtime_checkable
class VoiceDesign(Protocol):
    """The power to make a voice from a description: ``draft.description`` says how it should sound,
    ``draft.reference_transcript`` what it should say for a preview."""

    async def design(self, draft: Voice, attempt: Attempt) -> SubmitResult:
        """Like :meth:`Provider.submit`; the audio is the preview, and ``Ready.voice`` the voice, if the
        provider keeps one. It may take minutes, and may answer with a ticket for
        :meth:`Provider.check`.

        Raises:
            ProviderError: as for :meth:`Provider.submit`.
        """
        ...
