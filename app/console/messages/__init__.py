"""The page of the user's messages, and the counts in the frame."""
