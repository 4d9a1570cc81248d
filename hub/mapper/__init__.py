"""received → recorded: run the mapping, find the woman and the pregnancy, tell new from unchanged, keep what waits."""
