"""Speed, measured beside the peers: `make bench` runs every contest and writes the table of README.md again."""
