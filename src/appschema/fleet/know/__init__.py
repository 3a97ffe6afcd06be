"""What is known of the fleet, mostly without asking each schema."""
