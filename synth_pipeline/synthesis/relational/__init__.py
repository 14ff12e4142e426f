"""The relational synthesizer: sequential honest trees with leaf donors over whole schemas."""
