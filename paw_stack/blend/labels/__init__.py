"""What a blend tells of the scores it learned from: doubtful ones, and what more would bring."""
