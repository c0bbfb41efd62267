"""The numbers that a host sets: how much is taken in, and how long everything may take."""

from dataclasses import dataclass

from ttsorch.errors import (
    ConfigurationError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in, by all workers over one store together; None for no limit.

    ``active_per_owner`` counts tasks that have not ended, ``submits_per_minute`` those that an owner began
    within the last 60 seconds, ``in_flight_per_provider`` what all owners have under way at one provider.
    Clones are neither counted nor refused: each is asked for by a person who waits for it.

    Raises:
        ConfigurationError: a limit is less than 1, and so would take nothing in.
    """

    active_per_owner: int | None = None
    submits_per_minute: int | None = None
    in_flight_per_provider: int | None = None

    def __post_init__(self) -> None:
        for most in (self.active_per_owner, self.submits_per_minute, self.in_flight_per_provider):
            if most is not None and most < 1:
                raise ConfigurationError("A limit must be at least 1; None is for no limit.")


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Policy:
    """Every number the orchestrator goes by. All times are in seconds.

    A task must be accepted within ``accept_within`` and end within ``finish_within`` plus
    ``finish_per_character`` for each UTF-16 code unit of its text. A lease is renewed at a third of
    ``lease``, and its holder stops on its own once it could not renew for two thirds. A job provider's
    submit that certainly did not start is repeated for ``submit_retry`` at most; whoever repeats the request
    at another process waits for the same answer for ``answer_wait`` at most. A commit is given
    ``commit``, and ``insist`` if it records what a provider answered. A result is asked for up to
    ``max_finalize_attempts`` times, one that isn't valid audio ``max_bad_results`` times. ``concurrency``
    counts the direct syntheses of this process, ``clip_concurrency`` its calls that hold a recording,
    ``sweep_concurrency`` all other steps of its sweeps. A listener is given ``effect_call`` for an effect,
    and is told again after each of ``effect_waits``; after the last, we give up. (These are the waits that
    Standard Webhooks recommends: some three days in all.) What a vendor asks for stops its provider for
    ``longest_pause`` at most. A task that can't be taken further is tried again after ``lease``, then after
    twice as long each time, up to ``longest_hold``; its deadlines are kept all the same.
    """

    lease: float = 10.0
    accept_within: float = 900.0
    finish_within: float = 1800.0
    finish_per_character: float = 0.5
    unknown_grace: float = 120.0
    max_resubmits: int = 10
    submit_backoff: float = 1.0
    submit_retry: float = 5.0
    max_finalize_attempts: int = 20
    max_bad_results: int = 6
    finalize_backoff: float = 1.0
    max_cancel_attempts: int = 5
    cancel_backoff: float = 5.0
    check_interval: float = 5.0
    provider_call: float = 30.0
    answer_wait: float = 30.0
    max_audio_bytes: int = 512 * 1024 * 1024
    commit: float = 5.0
    insist: float = 30.0
    shutdown_grace: float = 5.0
    sweep_interval: float = 2.0
    sweep_batch: int = 50
    concurrency: int = 4
    clip_concurrency: int = 8
    sweep_concurrency: int = 16
    orphan_grace: float = 3600.0
    longest_pause: float = 3600.0
    longest_hold: float = 600.0
    effect_call: float = 30.0
    effect_waits: tuple[float, ...] = (
        5.0,
        300.0,
        1800.0,
        7200.0,
        18000.0,
        36000.0,
        50400.0,
        72000.0,
    )
