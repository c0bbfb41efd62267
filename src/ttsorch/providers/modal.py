"""Qwen3-TTS on Modal: a deployment of four job endpoints and, optionally, one that designs voices.

A job is spawned, asked for, and fetched by its id; a design is one long call, whose answer Modal keeps under
a URL when it takes longer than an HTTP request may. Modal honours no idempotency key, so that a submit whose
answer is lost is never sent again. The deployed server's own answers are what is read here, and its mock's
spellings are understood too.
"""

from collections.abc import Mapping, Sequence

import anyio
import httpx
from anyio import to_thread

from ttsorch._download import Downloader
from ttsorch._environment import read
from ttsorch._http import HttpClient, Reply, same_origin
from ttsorch.errors import (
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ValidationError,
)
from ttsorch.models import (
    Accepted,
    Attempt,
    AudioSource,
    CancelOutcome,
    Capabilities,
    CheckResult,
    Envelope,
    Running,
    SpeechRequest,
    SubmitResult,
    Ticket,
    Voice,
)
from ttsorch.providers._audio_in_hand import NoAudio
from ttsorch.providers._modal import errors, replies, requests, settings

# Modal answers a 303 after 150 silent seconds. Who hangs up earlier loses the handle of a paid call.
_SILENCE_SECONDS = 160.0
# Reading a handle waits for the answer on the server; no poll waits as long as that.
_REREAD_SECONDS = 5.0
_SUBMIT_HOPS = 5
# Five hundred characters are a minute or two of 16-bit sound at 24 kHz: 3 MB a minute.
_MAX_PREVIEW_BYTES = 32 * 1024 * 1024


class ModalProvider:
    """Speech and voice design from Qwen3-TTS behind Modal web endpoints.

    ``options`` of a request: ``max_new_tokens`` (256 to 4096).

    Args:
        submit_url, status_url, result_url: the whole URL of each endpoint; https, unless on a loopback.
        cancel_url: None for a deployment that can't cancel.
        design_url: None for a deployment that can't design voices.
        key, secret: a proxy token (``wk-...`` and ``ws-...``), for endpoints that aren't public.
        http, downloader, transport: the host's own, which stay the host's to close; ``http`` and
            ``transport`` make the exchanges with the endpoints, ``transport`` the downloads too.
        max_new_tokens: for requests that don't say.
        submit_deadline, design_deadline: seconds; more than Modal's 150, or paid work may get lost.
        ask_deadline: seconds for a check or a cancel.

    Raises:
        ConfigurationError: names the environment variable, or the argument, never its value.
    """

    name = "modal"

    def __init__(
        self,
        *,
        submit_url: str | None,
        status_url: str | None,
        result_url: str | None,
        cancel_url: str | None = None,
        design_url: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        http: httpx.AsyncClient | None = None,
        downloader: Downloader | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_new_tokens: int = 2048,
        submit_deadline: float = 180.0,
        design_deadline: float = 180.0,
        ask_deadline: float = 25.0,
    ) -> None:
        self._settings = settings.checked_settings(
            submit_url=submit_url,
            status_url=status_url,
            result_url=result_url,
            cancel_url=cancel_url,
            design_url=design_url,
            key=key,
            secret=secret,
        )
        self._max_new_tokens = settings.checked_tokens(max_new_tokens)
        self._submit_deadline = settings.checked_seconds(submit_deadline, "submit_deadline")
        self._design_deadline = settings.checked_seconds(design_deadline, "design_deadline")
        self._ask_deadline = settings.checked_seconds(ask_deadline, "ask_deadline")
        self._capabilities = settings.capabilities_of(self._settings)
        self._http = HttpClient(http=http, transport=transport)
        self._downloader = downloader or Downloader(
            hosts=(), private=self._settings.audio_places, transport=transport
        )
        self._owns_downloader = downloader is None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ModalProvider":
        """Configured by ``MODAL_JOB_SUBMIT``, ``MODAL_JOB_STATUS`` and ``MODAL_JOB_RESULT``; and, each
        optional, ``MODAL_JOB_CANCEL``, ``MODAL_ENDPOINT_VOICE_DESIGN``, ``MODAL_KEY`` with
        ``MODAL_SECRET``.

        Raises:
            ConfigurationError: one of them is missing or malformed.
        """
        return cls(
            submit_url=read(environ, settings.SUBMIT),
            status_url=read(environ, settings.STATUS),
            result_url=read(environ, settings.RESULT),
            cancel_url=read(environ, settings.CANCEL),
            design_url=read(environ, settings.DESIGN),
            key=read(environ, settings.KEY),
            secret=read(environ, settings.SECRET),
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def check_request(self, request: SpeechRequest) -> None:
        """Refuse voices without a recording or its transcript, and options that the endpoint lacks.

        Raises:
            ValidationError: see :func:`~ttsorch.providers._modal.requests.check_expressible`.
        """
        requests.check_expressible(request)

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Accepted:
        """Spawn the job: one POST, over a connection of its own.

        When Modal answers with a handle (a 303, after 150 seconds or while a container starts), the answer
        is read from there, at most five times, and only on the origin that was asked. Each such GET waits on
        the server and starts no new work. The ticket has to hold the job's own id, since a check is one
        exchange; so a handle that gives no id by then leaves the submit's outcome unknown.

        Raises:
            ProviderInvalid: what :meth:`check_request` would have said, or Modal's own refusal.
            ProviderError: ambiguous for a 5xx, a lost or an unreadable answer.
        """
        # In a thread: 10 MiB of clip as base64 inside JSON would hold up the event loop.
        prepared = await to_thread.run_sync(self._submit_request, request)
        ends_at = anyio.current_time() + self._submit_deadline
        reply = await self._http.exchange(
            prepared,
            deadline=self._submit_deadline,
            read_timeout=_SILENCE_SECONDS,
            fresh_connection=True,
        )
        sent = (request.text, request.voice.reference_transcript or "")
        handle = replies.read_handle(reply)
        if handle is None:
            job_id = replies.read_submitted(reply, self._settings.secrets, sent=sent)
        else:
            job_id = await self._submitted_at(handle, ends_at, sent)
        return Accepted({replies.JOB_ID: job_id})

    async def check(self, ticket: Ticket) -> CheckResult:
        """Ask about a job, or re-read the answer of a design: one GET.

        A job that is reported as failed is ``doubtful``: the endpoint says the same when it could not look.

        Raises:
            ProviderError: it could not be asked. ``wrong_job``: it answered about another one.
        """
        handle = self._handle_in(ticket)
        if handle is not None:
            return await self._check_design(handle)
        job_id = replies.job_id_in(ticket)
        reply = await self._http.exchange(
            requests.build_status(self._settings, job_id), deadline=self._ask_deadline
        )
        return replies.read_status(reply, job_id, self._settings.secrets)

    def fetch(self, envelope: Envelope) -> AudioSource:
        """The recording: of a job from the result endpoint, of a design from its handle.

        Raises (on entering or while reading):
            NotReady, ResultExpired: as they say.
            ProviderUnavailable: ``result_unavailable``, for the endpoint's 500, which it gives for
                everything that goes wrong.
        """
        handle = self._handle_in(envelope)
        if handle is not None:
            return self._download(handle, errors.FETCHING_DESIGN)
        job_id = replies.job_id_of(envelope.get(replies.JOB_ID))
        if job_id is None:
            return NoAudio()
        url = requests.build_result_url(self._settings, job_id)
        return self._download(url, errors.FETCHING)

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Ask for a job to be cancelled; ``REQUESTED`` at best, since a busy container may finish it. A
        design can't be cancelled, nor can anything where that endpoint isn't deployed.

        Raises:
            ProviderError: it could not be asked.
        """
        cancel_url = self._settings.cancel_url
        if cancel_url is None or replies.DESIGN_URL in ticket:
            return CancelOutcome.UNSUPPORTED
        job_id = replies.job_id_of(ticket.get(replies.JOB_ID))
        if job_id is None:
            return CancelOutcome.NOT_FOUND
        request = requests.build_cancel(self._settings, cancel_url, job_id)
        reply = await self._http.exchange(request, deadline=self._ask_deadline)
        return replies.read_cancelled(reply, self._settings.secrets)

    async def design(self, draft: Voice, attempt: Attempt) -> SubmitResult:
        """Make a preview of a described voice: one POST, over a connection of its own. What takes longer
        than Modal lets a request last comes as a ticket. Modal keeps no voice: the preview and its text
        are the voice.

        Raises:
            ProviderError: ``started`` when the design began and failed; ambiguous for any other 5xx, a
                lost or an unreadable answer, and a handle on another origin.
        """
        design_url = self._settings.design_url
        if design_url is None:
            raise ProviderRejected(code="design_unsupported", detail=f"{settings.DESIGN} is unset")
        reply = await self._http.exchange(
            requests.build_design(self._settings, design_url, draft),
            deadline=self._design_deadline,
            read_timeout=_SILENCE_SECONDS,
            max_body=_MAX_PREVIEW_BYTES,
            fresh_connection=True,
        )
        sent = (draft.reference_transcript or "", draft.description or "")
        return replies.read_designed(reply, self._settings.secrets, sent)

    async def aclose(self) -> None:
        """Close our connections. Harmless when repeated."""
        await self._http.aclose()
        if self._owns_downloader:
            await self._downloader.aclose()

    def _submit_request(self, request: SpeechRequest) -> httpx.Request:
        try:
            requests.check_expressible(request)
            return requests.build_submit(
                self._settings, request, max_new_tokens=self._max_new_tokens
            )
        except ValidationError as error:
            refusal = ProviderInvalid(error.message, code=error.code)
        raise refusal

    async def _submitted_at(self, handle: str, ends_at: float, sent: Sequence[str]) -> str:
        """The job's id, read from where Modal keeps the answer of the submit."""
        try:
            reply = await self._reread(handle, ends_at)
            for _ in range(_SUBMIT_HOPS - 1):
                further = replies.read_handle(reply)
                if further is None:
                    break
                handle = further
                reply = await self._reread(handle, ends_at)
            return replies.read_submitted(reply, self._settings.secrets, sent=sent, reread=True)
        except ProviderError as error:
            # All that an operator has to find the job by.
            error.request_id = error.request_id or replies.call_id_in(handle)
            raise

    async def _reread(self, handle: str, ends_at: float) -> Reply:
        try:
            return await self._http.exchange(
                requests.build_reread(self._settings, handle),
                deadline=ends_at - anyio.current_time(),
                read_timeout=_SILENCE_SECONDS,
            )
        except ProviderError as error:
            # Whatever became of this GET, the POST before it was taken.
            error.ambiguous = True
            raise

    async def _check_design(self, handle: str) -> CheckResult:
        try:
            reply = await self._http.exchange(
                requests.build_reread(self._settings, handle),
                deadline=self._ask_deadline,
                read_timeout=_REREAD_SECONDS,
                max_body=_MAX_PREVIEW_BYTES,
            )
        except ProviderTimeout:
            # The server keeps silent until the answer is there.
            return Running(replies.DESIGNING)
        return replies.read_preview(reply, handle, self._settings.secrets)

    def _download(self, url: str, rows: tuple[errors.Row, ...]) -> AudioSource:
        def failure(reply: Reply) -> ProviderError:
            return errors.judged(reply, rows, self._settings.secrets)

        return self._downloader.open(url, headers=self._settings.headers, failure=failure)

    def _handle_in(self, record: Ticket | Envelope) -> str | None:
        """The handle of a design in ``record``, if it is on the design endpoint's origin: the row may be
        older than the configuration, and the proxy token is not for others."""
        handle, design_url = record.get(replies.DESIGN_URL), self._settings.design_url
        if isinstance(handle, str) and design_url is not None and same_origin(handle, design_url):
            return handle
        return None
