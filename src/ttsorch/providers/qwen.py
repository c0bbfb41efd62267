"""Qwen-TTS on Alibaba Cloud Model Studio (DashScope): one long call per text, and voices made to order.

No job, no cancel, no progress and no idempotency key, so a call whose answer is lost stays unknown. The
answer is a link that lives for a day and needs no key; cloned and designed voices live in the account, each
bound to one model.
"""

from collections.abc import Mapping, Sequence

import httpx
from anyio import to_thread

from ttsorch._download import Downloader
from ttsorch._environment import read, read_hosts_and_ports, read_number
from ttsorch._http import HttpClient, Reply
from ttsorch.errors import ProviderInvalid, ProviderUnavailable, ValidationError
from ttsorch.models import (
    Attempt,
    AudioSource,
    CancelOutcome,
    Capabilities,
    CheckResult,
    Clip,
    Envelope,
    JsonValue,
    Ready,
    SpeechRequest,
    Ticket,
    Voice,
)
from ttsorch.providers._audio_in_hand import AudioInHand, NoAudio
from ttsorch.providers._qwen import kept_voices as kept
from ttsorch.providers._qwen import settings, wire
from ttsorch.providers._qwen.expressible import check_expressible
from ttsorch.providers._qwen.hosts import origin_for
from ttsorch.providers._qwen.kept_voices import KeptVoice, KeptVoices
from ttsorch.providers._qwen.system_voices import system_voices

# A preview comes in base64 inside the answer: three minutes of it are 12 MiB. All else is a link or an id,
# and reading many MiB of anything else would hold up the event loop for seconds.
_MAX_PREVIEW_REPLY = 32 * 1024 * 1024
_MAX_REPLY = 1024 * 1024
# Listing and deleting are short questions; making speech or a voice is what takes long.
_QUESTION_SECONDS = 30.0


class QwenProvider:
    """Speech and voices of one DashScope account.

    ``options`` of a request go to the vendor: ``instructions`` and ``optimize_instructions`` with an
    instruct model; ``format``, ``sample_rate``, ``volume``, ``rate``, ``pitch``, ``bit_rate`` and
    ``enable_ssml`` with the qwen-audio and CosyVoice models.

    Args:
        base_url: the API's origin, with or without ``/api/v1``; None takes that of ``region``.
        region: ``intl``, ``cn`` or a region's id; None is ``intl``. Keys are valid in one region only.
        workspace: a workspace's id; None is the account's default one.
        vc_model, vd_model, system_model: what cloned, designed and the vendor's own voices speak with.
        max_text_chars: UTF-16 code units per request; the vendor's limit is 600.
        result_hosts: whence results may be fetched.
        private_result_hosts: ``host:port`` values whose links are used as given, over plain http too.
        timeout: seconds that one synthesis, clone or design may take.
        http, downloader, transport: the host's own, which stay the host's to close; ``http`` and
            ``transport`` make the exchanges with the API, ``transport`` the downloads too.

    Raises:
        ConfigurationError: a value can't be meant; names its variable (:meth:`from_env`), never the value.
    """

    name = "qwen"

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None = None,
        region: str | None = None,
        workspace: str | None = None,
        vc_model: str = settings.VC_MODEL,
        vd_model: str = settings.VD_MODEL,
        system_model: str = settings.SYSTEM_MODEL,
        max_text_chars: int = 600,
        result_hosts: Sequence[str] = ("*.aliyuncs.com",),
        private_result_hosts: Sequence[str] = (),
        timeout: float = 300.0,
        http: httpx.AsyncClient | None = None,
        downloader: Downloader | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._account = wire.Account(
            origin_for(base_url, region),
            settings.checked_key(api_key),
            settings.checked_workspace(workspace),
        )
        self._models = settings.Models(vc=vc_model, vd=vd_model, system=system_model)
        self._timeout = settings.checked_seconds(timeout)
        self._private_hosts = tuple(host.lower() for host in private_result_hosts)
        self._capabilities = settings.capabilities_of(self._models, max_text_chars)
        self._voices = system_voices(system_model)
        self._http = HttpClient(http=http, transport=transport)
        self._own_downloader = downloader is None
        self._downloader = downloader or Downloader(
            hosts=result_hosts, private=self._private_hosts, transport=transport
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "QwenProvider":
        """From ``DASHSCOPE_API_KEY`` and, each optional, ``DASHSCOPE_BASE_URL`` (or, as for the vendor's
        SDK, ``DASHSCOPE_HTTP_BASE_URL``), ``DASHSCOPE_REGION``,
        ``DASHSCOPE_WORKSPACE`` (or ``DASHSCOPE_WORKSPACE_ID``), ``QWEN_VC_TARGET_MODEL``,
        ``QWEN_VD_TARGET_MODEL``, ``QWEN_SYSTEM_MODEL``, ``QWEN_MAX_TEXT_CHARS`` and
        ``TTSORCH_RESULT_HOSTS``.

        Raises:
            ConfigurationError: one is missing or malformed.
        """
        models = settings.Models.from_env(environ)
        return cls(
            api_key=settings.required_key(environ),
            base_url=read(environ, "DASHSCOPE_BASE_URL")
            or read(environ, "DASHSCOPE_HTTP_BASE_URL"),
            region=read(environ, "DASHSCOPE_REGION"),
            workspace=settings.workspace_in(environ),
            vc_model=models.vc,
            vd_model=models.vd,
            system_model=models.system,
            max_text_chars=read_number(environ, settings.MAX_TEXT, least=1) or 600,
            private_result_hosts=read_hosts_and_ports(environ, "TTSORCH_RESULT_HOSTS"),
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def voices(self) -> Sequence[Voice]:
        """The vendor's voices that we know of; a voice of kind ``system`` with another name works too."""
        return self._voices

    def check_request(self, request: SpeechRequest) -> None:
        """Refuse voices without a usable binding and options that the voice's model doesn't have.

        Raises:
            ValidationError: see :func:`~ttsorch.providers._qwen.expressible.check_expressible`.
        """
        check_expressible(request, self._models)

    # --- speech ---------------------------------------------------------------------------------------

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        """Have the text spoken, and return the link to it before anything is downloaded.

        Raises:
            ProviderError: by the vendor's code, see ``_qwen/errors``; ``result_missing``, ambiguous,
                for a success without a link.
        """
        self._check_again(request)
        reply = await self._paid(wire.build_speech(self._account, request))
        model = request.voice.provider_target_model or ""
        speech = wire.read_speech(
            reply,
            model,
            self._account.secrets,
            sent=(request.text,),
            private_hosts=self._private_hosts,
        )
        if speech.url is None:
            return Ready(audio=AudioInHand(speech.audio or b""), receipt=speech.receipt)
        return Ready(
            envelope={"url": speech.url, "request_id": speech.receipt["request_id"]},
            expires_at=speech.expires_at,
            receipt=speech.receipt,
        )

    async def check(self, ticket: Ticket) -> CheckResult:
        """There is nothing to ask: a direct provider gives no tickets."""
        raise ProviderUnavailable(
            code="no_such_job", detail="Qwen-TTS has no jobs", retryable=False
        )

    def fetch(self, envelope: Envelope) -> AudioSource:
        """Download the link, without any header of ours: it is signed, and our key is none of its
        host's business."""
        url = envelope.get("url")
        return self._downloader.open(url) if isinstance(url, str) else NoAudio()

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        """The vendor can't be told to stop."""
        return CancelOutcome.UNSUPPORTED

    async def aclose(self) -> None:
        """Close our connections. Harmless when repeated."""
        await self._http.aclose()
        if self._own_downloader:
            await self._downloader.aclose()

    # --- making voices --------------------------------------------------------------------------------

    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        """Enrol ``clip`` as a voice of the account, bound to ``vc_model``.

        Raises:
            ProviderError: as :meth:`submit`; ``voice_missing``, ambiguous, for a success without one.
        """
        self._refuse_deployed(self._capabilities.cloning)
        # In threads, here and below: 10 MB of base64 would hold up the event loop.
        request = await to_thread.run_sync(
            wire.build_clone, self._account, draft, clip, self._models.vc
        )
        reply = await self._paid(request)
        made = wire.read_made_voice(
            reply, self._models.vc, "vc", self._account.secrets, _words(draft)
        )
        return Ready(voice=made.voice, receipt=made.receipt)

    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        """Make a voice of the account from ``draft.description``, bound to ``vd_model``, with a preview.

        Raises:
            ProviderError: as :meth:`clone`; ``preview_missing``, ``started``, for a voice without a
                preview: it exists and counts, so nobody but the user may ask again. ``detail`` has its id,
                for :meth:`delete_provider_voice`.
        """
        self._refuse_deployed(self._capabilities.design)
        request = wire.build_design(self._account, draft, self._models.vd)
        reply = await self._paid(request, max_body=_MAX_PREVIEW_REPLY)
        made = await to_thread.run_sync(
            wire.read_made_voice, reply, self._models.vd, "vd", self._account.secrets, _words(draft)
        )
        if made.preview is None:
            raise ProviderUnavailable(
                code="preview_missing",
                detail=f"the voice {made.voice.id} was made, but came without a preview",
                started=True,
            )
        audio = AudioInHand(made.preview, "audio/wav")
        return Ready(audio=audio, voice=made.voice, receipt=made.receipt)

    # --- the account's voices, for operators ----------------------------------------------------------

    async def list_provider_voices(
        self, kind: str, page_index: int = 0, page_size: int = 10
    ) -> KeptVoices:
        """One page of the account's voices of ``kind`` ("vc" or "vd"); pages count from 0.

        Raises:
            ValidationError: another kind. ProviderError: as :meth:`submit`, without a bill.
        """
        words = self._vocabulary(kind)
        reply = await self._asked(words, kept.asked_to_list(words, page_index, page_size))
        return kept.read_page(reply, words, page_index, page_size, self._account.secrets)

    async def query_provider_voice(self, kind: str, voice_id: str) -> KeptVoice | None:
        """One voice, or None if the account has no such voice. Whether the vendor answers this for
        cloned voices of Qwen-TTS is not documented.

        Raises:
            ValidationError, ProviderError: as :meth:`list_provider_voices`.
        """
        words = self._vocabulary(kind)
        reply = await self._asked(words, kept.asked_to_query(words, voice_id))
        return kept.read_kept(reply, words, voice_id, self._account.secrets)

    async def delete_provider_voice(self, kind: str, voice_id: str) -> bool:
        """Delete a voice for good; False if there was none.

        Raises:
            ValidationError, ProviderError: as :meth:`list_provider_voices`.
        """
        words = self._vocabulary(kind)
        reply = await self._asked(words, kept.asked_to_delete(words, voice_id))
        return kept.read_deleted(reply, self._account.secrets)

    # --- exchanges ------------------------------------------------------------------------------------

    async def _paid(self, request: httpx.Request, *, max_body: int = _MAX_REPLY) -> Reply:
        return await self._http.exchange(
            request,
            deadline=self._timeout,
            read_timeout=self._timeout,
            max_body=max_body,
            fresh_connection=True,
        )

    async def _asked(self, words: kept.Vocabulary, asked: Mapping[str, JsonValue]) -> Reply:
        request = wire.build_voice_action(self._account, words.model, dict(asked))
        return await self._http.exchange(request, deadline=_QUESTION_SECONDS)

    def _vocabulary(self, kind: str) -> kept.Vocabulary:
        model = self._models.of_kind(kind) if kind != "system" else None
        if model is None:
            raise ValidationError("kind must be 'vc' or 'vd'.", code="param_invalid", field="kind")
        return kept.vocabulary(kind, model)

    def _check_again(self, request: SpeechRequest) -> None:
        """A submit may come long after the check, under another configuration."""
        try:
            check_expressible(request, self._models)
        except ValidationError as error:
            refusal = ProviderInvalid(error.message, code=error.code)
        else:
            return
        raise refusal

    def _refuse_deployed(self, possible: bool) -> None:
        if not possible:
            raise ProviderInvalid(
                "Voices can't be made for the configured model.", code="voice_model_unsupported"
            )


def _words(draft: Voice) -> tuple[str, ...]:
    """What of the user's goes to the vendor, who may quote it."""
    return tuple(filter(None, (draft.reference_transcript, draft.description)))
