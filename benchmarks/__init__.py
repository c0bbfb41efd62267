"""What ttsorch costs, always beside something that does the same work: ``make bench``."""
