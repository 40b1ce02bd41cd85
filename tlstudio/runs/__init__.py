"""Run folders: what a run leaves on disk, and reading it back."""
