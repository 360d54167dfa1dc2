"""Where rates, caps and leases live, behind one protocol."""
