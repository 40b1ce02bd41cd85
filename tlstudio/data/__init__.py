"""Images as tables: archives, splits, checks. numpy and Pillow only."""
