"""What was served: the log of requests, and what it says of a portfolio."""
