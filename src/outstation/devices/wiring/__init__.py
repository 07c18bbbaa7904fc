"""What chips hang on: the kernel's I2C and SPI buses, and simulated ones, as the CircuitPython libraries want them."""
