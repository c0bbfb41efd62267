"""The parts of the Qwen provider: settings, DashScope's wire format, its errors and its voices."""
