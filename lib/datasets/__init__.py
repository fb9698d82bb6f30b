"""Where images come from: CIFAR, its shipped subset, or a folder of the user's own. `lib.data` is the door."""
