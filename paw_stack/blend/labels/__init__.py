"""What a blend tells of the scores that it learned from: which are doubtful, what more would bring."""
