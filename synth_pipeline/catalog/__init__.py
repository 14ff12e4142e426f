"""What a database is and what it measures, independent of any driver and of any synthesizer."""
