"""The parts of the fake Modal."""
