"""Who works for the customer."""
