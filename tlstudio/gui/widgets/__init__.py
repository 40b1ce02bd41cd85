"""Widgets that more than one page may use; none knows the rest of the program."""
