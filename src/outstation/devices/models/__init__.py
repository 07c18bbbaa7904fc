"""Models of chips: each answers on a simulated bus as its data sheet says, and measures what it is told to."""
