"""What a study shows: one plot style, its figures, its tables and its verdicts on the paper's claims."""
