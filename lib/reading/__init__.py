"""What the lessons on figures (10 to 20, and 43) read from results that are there; nothing is computed anew."""
