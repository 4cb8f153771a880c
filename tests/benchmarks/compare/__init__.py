"""What a comparison of 1,000 runs costs."""
