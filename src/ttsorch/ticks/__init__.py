"""Ticks from an engine that a team has already: one file each, which only calls ``step`` and
``sweep_once``. See ``docs/ticks.md``."""
