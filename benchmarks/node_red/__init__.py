"""Node-RED as a server to compare with: what it runs, and how it is installed and started."""
