"""Who calls: users, operators and machines."""
