"""What commands read of releases and inputs, and how they answer."""
