"""What crosses to the kernel, the simulated chip and the supervisor."""
