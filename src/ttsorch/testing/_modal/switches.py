"""The moods of a fake Modal."""

from dataclasses import dataclass


@dataclass
class ModalSwitches:
    """What a test may turn on, at any time; everything off is a healthy deployment.

    Counters go down as they are used up. The ones that nobody has observed on the real service, and that are
    here for a client's robustness only: ``too_many_requests``, ``design_waits`` and the ``wrong_`` and
    ``missing_`` pair.

    Args:
        cancel_missing: the cancel app isn't deployed, as in most installations of the worker.
        cancel_fails: cancel answers 500.
        cancel_ignored: cancel says yes, and the busy container finishes its job all the same.
        failed_with_empty_error: every failed job says ``"error": ""``, as an expired one always does.
        status_blips: this many status checks answer ``failed`` about a healthy job: Modal's control plane
            stumbled, and the handler can't tell that from a failure of the job.
        running_word: what a job that isn't done is called.
        wrong_job_id: status speaks about another job.
        missing_job_id: submit takes the job and doesn't say its id.
        submit_500_text: what an undeployed worker makes of a submit: this text with status 500, no job.
        submit_redirects, design_redirects: how many 303 a call runs through before its answer; the first
            is for the POST, each further one for a GET of the result URL.
        design_redirect_to: where the first of them leads instead; alone, it counts as one redirect.
        design_waits: statuses that the result URL answers after its redirects and before the audio.
        result_202_times: this many result calls say that the job isn't done.
        result_500_after_completed: this many result calls fail; True: all of them.
        platform_error: status and plain text with which Modal's edge answers every call.
        platform_error_at: only that endpoint's calls: "submit", "status", "result", "cancel" or "design".
        platform_error_after_work: the app has done its work when the edge gives up.
        proxy_auth: the key and the secret that every call needs.
        too_many_requests: this many calls are answered with 429, with this ``retry_after`` if there is one.
        old_spellings: the app's own mock, from before it met a real deployment: the words ``processing``
            and ``cancelled``, ``elapsed_seconds``, 404 for an unknown job, ``{"cancelled": true}``.
    """

    cancel_missing: bool = False
    cancel_fails: bool = False
    cancel_ignored: bool = False
    failed_with_empty_error: bool = False
    status_blips: int = 0
    running_word: str = "running"
    wrong_job_id: bool = False
    missing_job_id: bool = False
    submit_500_text: str | None = None
    submit_redirects: int = 0
    design_redirects: int = 0
    design_redirect_to: str | None = None
    design_waits: tuple[int, ...] = ()
    result_202_times: int = 0
    result_500_after_completed: bool | int = False
    platform_error: tuple[int, str] | None = None
    platform_error_at: str | None = None
    platform_error_after_work: bool = False
    proxy_auth: tuple[str, str] | None = None
    too_many_requests: int = 0
    retry_after: str | None = None
    old_spellings: bool = False

    def redirects(self, endpoint: str) -> int:
        """How many 303 a call to ``endpoint`` runs through."""
        if endpoint == "submit":
            return self.submit_redirects
        if endpoint == "design":
            return max(self.design_redirects, int(self.design_redirect_to is not None))
        return 0

    def use(self, counter: str) -> bool:
        """Whether the switch of this name is on; one use fewer is left, unless it is plainly True."""
        left = getattr(self, counter)
        if left and left is not True:
            setattr(self, counter, left - 1)
        return bool(left)
