"""For gunicorn: two workers of eight threads, each with an orchestrator of its own."""

from examples.mounting import settings
from examples.mounting.blocking import tts

bind = f"{settings.config.host}:{settings.config.port}"
workers = 2
worker_class = "gthread"
threads = 8


def post_worker_init(worker: object) -> None:
    """After the fork, and once the application is loaded."""
    tts.start()


def worker_exit(server: object, worker: object) -> None:
    """Before the worker ends."""
    tts.close()
