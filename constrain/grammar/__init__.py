"""What may be said: the grammar IR and the front ends that produce it."""
