"""What a study shows: one plot style, its figures, its tables and the reviewer's page."""
