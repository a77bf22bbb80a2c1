"""What a blend tells of the scores it learned from: the doubtful ones, and what more would bring."""
