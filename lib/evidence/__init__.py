"""What proves a number: the origin of each result, two versions compared to the bit, where and when it was made."""
