"""How a digital line is held: by the kernel, or by a simulated chip. Neither knows the other."""
