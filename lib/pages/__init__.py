"""README.md and docs/: numbers looked up in the results, and the pages that say them."""
