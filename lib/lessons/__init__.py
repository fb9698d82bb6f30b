"""What the lessons draw and try beside their steps; nothing here reaches a stored number."""
