"""The opponents that ours is set beside, outside of what the paper claims."""
