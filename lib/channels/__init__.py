"""The channels that symbols are sent over, what they carry at best, and constellations (all offered by `lib.channel`)."""
