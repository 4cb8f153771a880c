"""Engine: from JSON records to predictions, without Django, a database or a clock of its own."""
