"""A codec trained for the task, on stored features: what the profile `best` changes of the paper's step 3."""
