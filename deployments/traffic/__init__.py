"""Who gets which variant, and what the numbers of variants say. Plain Python, used by serving and by services."""
