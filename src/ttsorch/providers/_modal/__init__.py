"""The parts of the Modal provider: settings, requests out, replies in, and what an error means."""
