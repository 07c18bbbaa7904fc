"""The physical world. One file a kind; none knows another."""
