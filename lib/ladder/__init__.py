"""The ladder of the profile `best`: rungs computed one at a time and stored (`python -m lib.ladder`)."""
