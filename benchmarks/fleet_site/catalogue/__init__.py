"""What the customer sells."""
