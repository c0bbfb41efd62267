"""For the frameworks that answer in threads: one orchestrator, on a loop of its own, for each process."""

from examples.mounting.settings import config
from ttsorch.config import open_orchestrator
from ttsorch.sync import SyncOrchestrator

#: Made anywhere, started in each worker after the fork: a thread doesn't come along.
tts = SyncOrchestrator(lambda: open_orchestrator(config))
