"""What varies by architecture: attention kinds, feed-forward kinds and towers, as Operations."""
