"""The other schemes of Figure 3, and separation: what they send, what they cost, how they are measured."""
