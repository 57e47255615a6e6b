"""One module for each picture format: its header, its pixels, and both written again."""
