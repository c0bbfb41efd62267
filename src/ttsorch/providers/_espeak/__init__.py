"""The parts of the embedded engine: its catalog, its languages, its child process."""
