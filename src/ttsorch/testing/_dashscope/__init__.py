"""The parts of the fake DashScope."""
