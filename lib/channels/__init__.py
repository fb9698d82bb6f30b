"""What symbols are sent over: channels, what they carry at best, constellations. `lib.channel` offers all of it."""
