"""The train loop as a generator of events, and what belongs to it. Qt-free; torch is imported by `run` and below."""
