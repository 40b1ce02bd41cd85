"""The window. Composes, shows and asks; what it shows is decided below. torch is imported behind it, in the background."""
